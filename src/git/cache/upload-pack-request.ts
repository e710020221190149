import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { readAhead, unread } from '../../core/read-ahead.js'
import type { BackendRequest } from '../../protocol/backend.js'
import { PktLineReader } from '../../protocol/pkt-line.js'
import type { KeyPart, ProtocolVersion } from './cache-key.js'
import { advertisementKey, cacheKey, protocolVersionOf } from './cache-key.js'
import type { ResponseShape } from './response-validator.js'

/** A request that the cache understands. */
export type CacheableRequest =
  /** `listsRefs`: version 2 advertises only capabilities. */
  | { readonly kind: 'advertisement'; readonly key: string; readonly listsRefs: boolean }
  | Exclude<UploadPackRequest, { readonly kind: 'uncacheable' }>

export type ReadRequest =
  /** `body`: decoded; empty for an advertisement. */
  | { readonly kind: 'cacheable'; readonly cacheable: CacheableRequest; readonly body: Buffer }
  /** The request for the backend, with its whole body. */
  | { readonly kind: 'uncacheable'; readonly request: BackendRequest }
  | { readonly kind: 'client-left' }

/** Reads a request and its body, unless the body is too long. */
export async function readCacheableRequest(request: BackendRequest): Promise<ReadRequest> {
  const { gitProtocol } = request
  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, gitProtocol)
    if (key === undefined) return { kind: 'uncacheable', request }
    const listsRefs = protocolVersionOf(gitProtocol) !== 2
    return { kind: 'cacheable', cacheable: { kind: 'advertisement', key, listsRefs }, body: Buffer.alloc(0) }
  }
  const bytes = await readAhead(request.body, MAX_BODY_BYTES + 1)
  if (bytes === undefined) return { kind: 'client-left' }
  const body = bytes.length > MAX_BODY_BYTES ? undefined : decode(bytes, request.contentEncoding)
  if (body === undefined) return { kind: 'uncacheable', request: { ...request, body: unread(bytes, request.body) } }
  const parsed = parseUploadPackRequest(body, gitProtocol)
  return parsed.kind === 'uncacheable'
    ? { kind: 'uncacheable', request: withBody(request, body) }
    : { kind: 'cacheable', cacheable: parsed, body }
}

/** A request for the backend whose body was read. @param body decoded */
export function withBody(request: BackendRequest, body: Buffer): BackendRequest {
  return { ...request, body: Readable.from([body]), contentEncoding: undefined, contentLength: body.length }
}

/** @returns `undefined` for a damaged body, and for one that inflates to more than is parsed, or than object IDs do */
function decode(bytes: Buffer, encoding: BackendRequest['contentEncoding']): Buffer | undefined {
  if (encoding === undefined) return bytes
  const maxOutputLength = Math.min(MAX_BODY_BYTES, FREE_INFLATED_BYTES + MAX_INFLATE_RATIO * bytes.length)
  try {
    return gunzipSync(bytes, { maxOutputLength })
  } catch {
    return undefined
  }
}

/**
 * A parsed POST to upload-pack. Equal requests have equal keys, whoever sends them: the values of `agent` and
 * `session-id` are left out, and what Git treats as a set is sorted. Different requests have different keys.
 */
export type UploadPackRequest =
  /** `ls-refs` of version 2. Its response has the shape `refs`. */
  | { readonly kind: 'refs'; readonly key: string }
  | {
      readonly kind: 'fetch'
      /** Object IDs, sorted, each once. */
      readonly wants: readonly string[]
      /** Everything in the request that the response depends on: version, object format, and every line. */
      readonly key: string
      readonly dependsOn: RefDependency
      /** Whether the response is worth keeping. If the client's next request will differ, it is only shared while in progress. */
      readonly isStorable: boolean
      readonly shape: Exclude<ResponseShape, 'advertisement' | 'refs'>
    }
  /** The response must come from the backend, for this request alone. */
  | { readonly kind: 'uncacheable' }

/** Longer bodies are not parsed. Git's longest rounds of haves are far shorter. */
export const MAX_BODY_BYTES = 1_048_576
/** The longest body holds 21,400 haves. */
const MAX_PACKETS = 22_000
/**
 * Git's clients send some prefixes for each refspec on the command line. 20,000 take 30 ms to parse and sort; Git itself ignores
 * all of them from 65,536 on (ls-refs.c, TOO_MANY_PREFIXES).
 */
const MAX_LS_REFS_PACKETS = 2_000
// Object IDs are twice as long in hexadecimal.
const FREE_INFLATED_BYTES = 65_536
const MAX_INFLATE_RATIO = 8

const UNCACHEABLE = { kind: 'uncacheable' } as const

/**
 * Parses the body of a POST to upload-pack. Anything that isn't understood byte by byte is uncacheable, such as
 * `server-option`, `want-ref`, `packfile-uris`, `sideband-all`, `object-info`, `bundle-uri` and `promisor-remote`. So is
 * `wait-for-done`: with it a client asks what the server has, in order to push; an old response would make the client leave
 * out objects that are gone.
 *
 * The response to a round of negotiation (version 2, haves without `done`) depends on that request alone, because over HTTP
 * the server is stateless. An old response may miss a common object that was pushed since, which costs bytes, or name one
 * that is gone, which the next round ignores. A pack is computed from what the request itself says the client has, and
 * stays right for it.
 *
 * @param body decoded
 * @param gitProtocol the `Git-Protocol` header
 */
export function parseUploadPackRequest(body: Buffer, gitProtocol: string | undefined): UploadPackRequest {
  const version = protocolVersionOf(gitProtocol)
  if (version === undefined || body.length > MAX_BODY_BYTES) return UNCACHEABLE
  const packets = readPackets(body)
  if (packets === undefined) return UNCACHEABLE
  switch (version) {
    case 0:
    case 1:
      return parseVersion0(version, packets)
    case 2:
      return parseVersion2(packets)
  }
}

/** Object formats by their capability: the hexadecimal digits of an object ID. */
const ID_LENGTHS: ReadonlyMap<string, number> = new Map([
  ['object-format=sha1', 40],
  ['object-format=sha256', 64],
])
const SHA1_LENGTH = 40

const LS_REFS = 'command=ls-refs'
const V2_CLIENT_CAPABILITY = /^(agent|session-id)=/
const V2_LS_REFS_ARGUMENT = /^(?:peel|symrefs|unborn|ref-prefix .*)$/
const V2_FETCH_FLAGS = new Set(['thin-pack', 'no-progress', 'include-tag', 'ofs-delta', 'deepen-relative', 'done'])

type V2Capabilities = { readonly idLength: number; readonly keyParts: readonly KeyPart[] }

/**
 * Version 2: `command=…`, capabilities, a delimiter, arguments and a flush (Git's documentation: gitprotocol-v2, command
 * request). Nothing may follow the flush, because Git would not read it.
 */
function parseVersion2(packets: readonly RequestPacket[]): UploadPackRequest {
  if (packets.at(-1)?.kind !== 'flush') return UNCACHEABLE
  const delimiter = packets.findIndex(({ kind }) => kind === 'delimiter')
  const head = textsOf(packets.slice(0, delimiter === -1 ? -1 : delimiter))
  const args = textsOf(delimiter === -1 ? [] : packets.slice(delimiter + 1, -1))
  if (head === undefined || args === undefined) return UNCACHEABLE
  const [command, ...lines] = head
  const capabilities = parseCapabilities(lines)
  if (capabilities === undefined) return UNCACHEABLE
  if (command === LS_REFS) return parseLsRefs(args, capabilities)
  return command === 'command=fetch' ? parseFetch(args, capabilities) : UNCACHEABLE
}

/**
 * The key has the object format, and whether the client sends `agent` and `session-id`, but not their values. A server that
 * doesn't offer `session-id` refuses the whole request (seen with Git 2.39.5), and this refusal must not be shared with
 * clients that left it out.
 */
function parseCapabilities(lines: readonly string[]): V2Capabilities | undefined {
  const clientNames = lines.flatMap((line) => V2_CLIENT_CAPABILITY.exec(line)?.[1] ?? [])
  const [format, ...others] = lines.filter((line) => !V2_CLIENT_CAPABILITY.test(line))
  const idLength = format === undefined ? SHA1_LENGTH : ID_LENGTHS.get(format)
  if (idLength === undefined || others.length > 0) return undefined
  return { idLength, keyParts: [format ?? '', [...new Set(clientNames)].sort()] }
}

function parseLsRefs(args: readonly string[], { keyParts }: V2Capabilities): UploadPackRequest {
  if (!args.every((line) => V2_LS_REFS_ARGUMENT.test(line))) return UNCACHEABLE
  return { kind: 'refs', key: cacheKey('refs', [2, ...keyParts, [...new Set(args)].sort()]) }
}

function parseFetch(args: readonly string[], { idLength, keyParts }: V2Capabilities): UploadPackRequest {
  const fetch = new FetchArguments(idLength)
  const flags = new Set<string>()
  for (const line of args) {
    if (V2_FETCH_FLAGS.has(line)) {
      flags.add(line)
      fetch.addFlag(line)
    } else if (!fetch.add(line)) return UNCACHEABLE
  }
  const { wants } = fetch
  // Without a want, Git sends nothing at all.
  if (wants.length === 0) return UNCACHEABLE
  return {
    kind: 'fetch',
    wants,
    key: cacheKey('fetch', [2, ...keyParts, ...fetch.keyParts]),
    dependsOn: fetch.dependsOn(flags),
    isStorable: fetch.isStorable,
    // A client that has nothing needs no negotiation: the pack comes without `done`, too.
    shape: fetch.hasHaves && !flags.has('done') ? 'v2-round' : 'v2-pack',
  }
}

const V0_CLIENT_CAPABILITY = /^(?:agent|session-id)=/
const V0_FIRST_WANT = /^(want (?:[0-9a-f]{40}|[0-9a-f]{64}))(?: (.*))?$/
const V0_SIDE_BANDS = ['side-band', 'side-band-64k']
const V0_CAPABILITIES = new Set([
  ...V0_SIDE_BANDS,
  ...['multi_ack', 'multi_ack_detailed', 'no-done', 'no-progress', 'include-tag', 'thin-pack', 'ofs-delta'],
  ...['shallow', 'deepen-since', 'deepen-not', 'deepen-relative', 'filter'],
  ...['allow-tip-sha1-in-want', 'allow-reachable-sha1-in-want'],
])

/**
 * Versions 0 and 1 (Git's documentation: gitprotocol-pack, packfile negotiation; gitprotocol-http): wants, the first of them
 * with the capabilities, shallow, depth and filter, a flush; then haves and `done`.
 *
 * Only two kinds of response have an end that can be recognised: the pack that follows `done`, and the shallow commits
 * alone, which a client with a depth requests first. A round of negotiation without `done` ends in a line without a flush,
 * and a pack without side bands just ends: neither can be told from a truncated one.
 */
function parseVersion0(version: ProtocolVersion, packets: readonly RequestPacket[]): UploadPackRequest {
  const flush = packets.findIndex(({ kind }) => kind === 'flush')
  const [first = '', ...more] = (flush === -1 ? undefined : textsOf(packets.slice(0, flush))) ?? []
  const rest = textsOf(packets.slice(flush + 1))
  const [, want, list = ''] = V0_FIRST_WANT.exec(first) ?? []
  if (want === undefined || rest === undefined) return UNCACHEABLE

  // Some clients write more than one space between capabilities.
  const sent = list.split(' ').filter((capability) => capability !== '' && !V0_CLIENT_CAPABILITY.test(capability))
  const formats = new Set(sent.filter((capability) => ID_LENGTHS.has(capability)))
  const capabilities = new Set(sent)
  const areKnown = sent.every((capability) => V0_CAPABILITIES.has(capability) || formats.has(capability))
  if (!areKnown || formats.size > 1 || !V0_SIDE_BANDS.some((band) => capabilities.has(band))) return UNCACHEABLE

  // Git's client doesn't send the object format here, even for a SHA-256 repository (2.39.5).
  const [format] = formats
  const fetch = new FetchArguments(format === undefined ? undefined : ID_LENGTHS.get(format))
  if (![want, ...more].every((line) => !line.startsWith('have ') && fetch.add(line))) return UNCACHEABLE
  const isDone = rest.at(-1) === 'done'
  const haves = isDone ? rest.slice(0, -1) : rest
  if (!haves.every((line) => line.startsWith('have ') && fetch.add(line))) return UNCACHEABLE
  if (!isDone && (fetch.hasHaves || !fetch.hasDepth)) return UNCACHEABLE
  return {
    kind: 'fetch',
    wants: fetch.wants,
    key: cacheKey('fetch', [version, [...capabilities].sort(), ...fetch.keyParts, isDone ? 'done' : 'depth']),
    dependsOn: fetch.dependsOn(capabilities),
    isStorable: fetch.isStorable,
    shape: isDone ? 'v0-pack' : 'v0-depth',
  }
}

/** A packet of a request: a line, without the LF that may end it, or the end of a list. */
type RequestPacket = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'flush' | 'delimiter' }

// C ends a string at a NUL, and no argument of a fetch has other control characters. Ref names may be UTF-8.
const LINE = /^[\x20-\x7e\x80-\xff]+$/

/**
 * Reads a body that consists of text packets from its first byte to its last. Senders should end a line with LF, and
 * receivers must accept lines without (Git's documentation: gitprotocol-common, pkt-line), so one LF makes no difference.
 *
 * @returns texts as Latin-1, one character a byte; `undefined` for any other body
 */
function readPackets(body: Buffer): readonly RequestPacket[] | undefined {
  const reader = new PktLineReader()
  reader.add(body)
  const packets: RequestPacket[] = []
  let limit = MAX_PACKETS
  for (let packet = reader.next(); packet !== 'more'; packet = reader.next()) {
    if (packet === 'malformed' || packet.kind === 'response-end' || packets.length >= limit) return undefined
    if (packet.kind === 'data') {
      const text = packet.data.toString('latin1').replace(/\n$/, '')
      if (!LINE.test(text)) return undefined
      if (packets.length === 0 && text === LS_REFS) limit = MAX_LS_REFS_PACKETS
      packets.push({ kind: 'line', text })
    } else packets.push({ kind: packet.kind })
  }
  return reader.rest.length === 0 ? packets : undefined
}

/** The texts of a list that must consist of lines only. */
function textsOf(packets: readonly RequestPacket[]): readonly string[] | undefined {
  const texts = packets.flatMap((packet) => (packet.kind === 'line' ? [packet.text] : []))
  return texts.length === packets.length ? texts : undefined
}

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
// Git would accept 0x10 and 010, too; its clients write plain decimals.
const DEPTH = /^[1-9][0-9]{0,9}$/
const MAX_DEPTH = 2 ** 31 - 1
const SECONDS = /^[1-9][0-9]{0,18}$/
// sparse:oid names a blob by a revision, which means another object once a ref has moved. Git removed sparse:path.
const FILTER = /^(?:blob:none|blob:limit=[0-9]{1,18}[kmg]?|tree:[0-9]{1,9}|object:type=(?:blob|tree|commit|tag))$/
const COMBINED_FILTER = 'combine:'

/** The refs that the response to a fetch depends on, beside the wanted objects. */
export type RefDependency = {
  /** Tags that point at sent objects are sent along (`include-tag`). */
  readonly tags: boolean
  /**
   * `deepen-not` names a ref, and `deepen-relative` counts from those of the client's shallow commits that any ref reaches
   * (upload-pack.c, get_reachable_list).
   */
  readonly allRefs: boolean
}

/** The lines of a fetch that all protocol versions have: wants, haves, shallow commits, depth and filter. */
class FetchArguments {
  readonly #wants = new Set<string>()
  readonly #haves: string[] = []
  readonly #shallow = new Set<string>()
  readonly #others: string[] = []
  #idLength: number | undefined

  /** @param idLength hexadecimal digits of an object ID; `undefined`: as many as the first one has */
  constructor(idLength: number | undefined) {
    this.#idLength = idLength
  }

  /** Sorted, each once: Git's own client names the object of HEAD twice. */
  get wants(): readonly string[] {
    return [...this.#wants].sort()
  }

  get hasHaves(): boolean {
    return this.#haves.length > 0
  }

  get hasDepth(): boolean {
    return this.#others.some((line) => line.startsWith('deepen'))
  }

  /**
   * Whether a client that repeats the fetch sends the same request. With `deepen-since` it doesn't: Git completes a date
   * without a time of day by the current time, so the request differs each second.
   */
  get isStorable(): boolean {
    return !this.#others.some((line) => line.startsWith('deepen-since '))
  }

  /**
   * All lines, as parts of a key. Git treats wants and shallow lines as sets, and acknowledges haves in their order. The
   * other lines keep their order.
   */
  get keyParts(): readonly KeyPart[] {
    return [this.wants, this.#haves, [...this.#shallow].sort(), this.#others]
  }

  /** @param flags arguments or capabilities without a value */
  dependsOn(flags: ReadonlySet<string>): RefDependency {
    const namesRef = this.#others.some((line) => line.startsWith('deepen-not '))
    return { tags: flags.has('include-tag'), allRefs: namesRef || flags.has('deepen-relative') }
  }

  /** Adds a line, if it is known byte by byte. @returns whether it is */
  add(line: string): boolean {
    const space = line.indexOf(' ')
    const [name, value] = [line.slice(0, Math.max(space, 0)), line.slice(space + 1)]
    if (!this.#isKnown(name, value)) return false
    if (name === 'want') this.#wants.add(value)
    else if (name === 'have') this.#haves.push(value)
    else if (name === 'shallow') this.#shallow.add(value)
    else this.#others.push(line)
    return true
  }

  /** Adds an argument without a value, which the caller knows. */
  addFlag(flag: string): void {
    this.#others.push(flag)
  }

  #isKnown(name: string, value: string): boolean {
    switch (name) {
      case 'want':
      case 'have':
      case 'shallow':
        this.#idLength ??= value.length
        return value.length === this.#idLength && OBJECT_ID.test(value)
      case 'deepen':
        return DEPTH.test(value) && Number(value) <= MAX_DEPTH
      case 'deepen-since':
        return SECONDS.test(value)
      case 'deepen-not':
        return value !== ''
      case 'filter':
        return isFilter(value)
      default:
        return false
    }
  }
}

function isFilter(spec: string): boolean {
  if (!spec.startsWith(COMBINED_FILTER)) return FILTER.test(spec)
  return spec
    .slice(COMBINED_FILTER.length)
    .split('+')
    .every((part) => FILTER.test(part))
}
