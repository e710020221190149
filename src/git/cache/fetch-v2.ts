import type { UploadPackRequest } from './upload-pack-request.js'
import { FetchArguments } from './fetch-arguments.js'
import type { KeyPart } from './key.js'
import { keyOf } from './key.js'
import type { RequestLine } from './request-lines.js'
import { textsOf } from './request-lines.js'

const UNCACHEABLE = { kind: 'uncacheable' } as const
const OBJECT_FORMAT = 'object-format='
// What is not said is SHA-1.
const ID_LENGTHS: ReadonlyMap<string, number> = new Map([
  ['', 40],
  ['sha1', 40],
  ['sha256', 64],
])
const IDENTITY = /^(agent|session-id)=/
const REFS_ARGUMENT = /^(?:peel|symrefs|unborn|ref-prefix .*)$/
const FLAGS = new Set(['thin-pack', 'no-progress', 'include-tag', 'ofs-delta', 'deepen-relative', 'done'])

type Capabilities = { readonly format: string; readonly keyParts: readonly KeyPart[] }

/**
 * Reads a request of version 2: `command=…`, capabilities, a delimiter and arguments, a flush (Git's documentation:
 * gitprotocol-v2, command request). Nothing may stand behind the flush: git would not read it.
 */
export function parseVersion2(lines: readonly RequestLine[]): UploadPackRequest {
  if (lines.at(-1)?.kind !== 'flush') return UNCACHEABLE
  const mark = lines.findIndex(({ kind }) => kind === 'delimiter')
  const head = textsOf(lines.slice(0, mark === -1 ? -1 : mark))
  const args = textsOf(mark === -1 ? [] : lines.slice(mark + 1, -1))
  if (head === undefined || args === undefined) return UNCACHEABLE
  const [command, ...capabilities] = head
  const known = readCapabilities(capabilities)
  if (known === undefined) return UNCACHEABLE
  if (command === 'command=ls-refs') return parseRefs(args, known)
  return command === 'command=fetch' ? parseFetch(args, known) : UNCACHEABLE
}

/**
 * What of the capabilities belongs into a key: the object format, empty where it is not said, and that a client says who it
 * is, but never who. A server that does not offer `session-id` refuses all of the request (seen with git 2.39.5), and that
 * refusal must not be shared with those who left it out.
 */
function readCapabilities(capabilities: readonly string[]): Capabilities | undefined {
  const said = capabilities.flatMap((capability) => IDENTITY.exec(capability)?.[1] ?? [])
  const [format, ...more] = capabilities.filter((capability) => !IDENTITY.test(capability))
  const key = (format: string): Capabilities => ({ format, keyParts: [format, [...new Set(said)].sort()] })
  if (format === undefined) return key('')
  const name = format.startsWith(OBJECT_FORMAT) ? format.slice(OBJECT_FORMAT.length) : ''
  return more.length === 0 && name !== '' && ID_LENGTHS.has(name) ? key(name) : undefined
}

function parseRefs(args: readonly string[], { keyParts }: Capabilities): UploadPackRequest {
  if (!args.every((line) => REFS_ARGUMENT.test(line))) return UNCACHEABLE
  return { kind: 'refs', key: keyOf('refs', [2, ...keyParts, [...new Set(args)].sort()]) }
}

function parseFetch(args: readonly string[], { format, keyParts }: Capabilities): UploadPackRequest {
  const fetch = new FetchArguments(ID_LENGTHS.get(format))
  const flags = new Set<string>()
  for (const line of args) {
    if (FLAGS.has(line)) {
      flags.add(line)
      fetch.keep(line)
    } else if (!fetch.take(line)) return UNCACHEABLE
  }
  // Without a want git says nothing at all.
  if (fetch.wants.length === 0) return UNCACHEABLE
  return {
    kind: 'fetch',
    wants: fetch.wants,
    key: keyOf('fetch', [2, ...keyParts, ...fetch.keyParts]),
    dependsOn: fetch.dependsOn(flags),
    isStorable: fetch.isStorable,
    // Where the client has nothing, there is nothing to negotiate: the pack comes without `done` as well.
    shape: fetch.hasHaves && !flags.has('done') ? 'v2-round' : 'v2-pack',
  }
}
