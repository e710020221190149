import type { UploadPackRequest } from './upload-pack-request.js'
import { FetchArguments } from './fetch-arguments.js'
import { keyOf } from './key.js'
import type { ProtocolVersion } from './protocol-version.js'
import type { RequestLine } from './request-lines.js'
import { textsOf } from './request-lines.js'

const UNCACHEABLE = { kind: 'uncacheable' } as const
const IDENTITY = /^(?:agent|session-id)=/
const FIRST_WANT = /^(want (?:[0-9a-f]{40}|[0-9a-f]{64}))(?: (.*))?$/
const SIDE_BANDS = ['side-band', 'side-band-64k']
const CAPABILITIES = new Set([
  ...SIDE_BANDS,
  'multi_ack',
  'multi_ack_detailed',
  'no-done',
  'thin-pack',
  'ofs-delta',
  'shallow',
  'deepen-since',
  'deepen-not',
  'deepen-relative',
  'no-progress',
  'include-tag',
  'allow-tip-sha1-in-want',
  'allow-reachable-sha1-in-want',
  'filter',
])
const OBJECT_FORMATS: ReadonlyMap<string, number> = new Map([
  ['object-format=sha1', 40],
  ['object-format=sha256', 64],
])

/**
 * Reads a request of versions 0 and 1 (Git's documentation: gitprotocol-pack, packfile negotiation; gitprotocol-http): wants
 * with the capabilities on the first, shallow, depth and filter, a flush; then haves and `done`.
 *
 * Two kinds of answers have an end that shows: the pack that follows `done`, and the list of shallow commits alone, for which
 * a client with a depth asks first. A round of negotiation without `done` ends in a line and no flush, and a pack that is
 * not in bands just ends: neither can be told from a broken one.
 */
export function parseVersion0(version: ProtocolVersion, lines: readonly RequestLine[]): UploadPackRequest {
  const mark = lines.findIndex(({ kind }) => kind === 'flush')
  const [first = '', ...more] = (mark === -1 ? undefined : textsOf(lines.slice(0, mark))) ?? []
  const rest = textsOf(lines.slice(mark + 1))
  const [, want, words = ''] = FIRST_WANT.exec(first) ?? []
  if (want === undefined || rest === undefined) return UNCACHEABLE

  const capabilities = capabilitiesOf(words)
  if (capabilities === undefined || !SIDE_BANDS.some((band) => capabilities.has(band))) return UNCACHEABLE
  // Git's client does not say the object format here, even of a SHA-256 repository (2.39.5).
  const format = [...capabilities].find((capability) => OBJECT_FORMATS.has(capability))
  const fetch = new FetchArguments(format === undefined ? undefined : OBJECT_FORMATS.get(format))
  if (![want, ...more].every((line) => !line.startsWith('have ') && fetch.take(line))) return UNCACHEABLE

  const isDone = rest.at(-1) === 'done'
  const haves = isDone ? rest.slice(0, -1) : rest
  if (!haves.every((line) => line.startsWith('have ') && fetch.take(line))) return UNCACHEABLE
  if (!isDone && (fetch.hasHaves || !fetch.hasDepth)) return UNCACHEABLE
  return {
    kind: 'fetch',
    wants: fetch.wants,
    key: keyOf('fetch', [version, [...capabilities].sort(), ...fetch.keyParts, isDone ? 'done' : 'depth']),
    dependsOn: fetch.dependsOn(capabilities),
    isStorable: fetch.isStorable,
    shape: isDone ? 'v0-pack' : 'v0-depth',
  }
}

/** The capabilities that count. Some clients write more than one space between them. */
function capabilitiesOf(words: string): ReadonlySet<string> | undefined {
  const capabilities = words.split(' ').filter((word) => word !== '' && !IDENTITY.test(word))
  const formats = new Set(capabilities.filter((word) => OBJECT_FORMATS.has(word)))
  const areKnown = capabilities.every((word) => CAPABILITIES.has(word) || formats.has(word))
  return areKnown && formats.size <= 1 ? new Set(capabilities) : undefined
}
