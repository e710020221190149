import { createHash } from 'node:crypto'
import { inflateSync } from 'node:zlib'
import { TimeSlice } from '../core/event-loop.js'
import { applyDelta } from './pack-delta.js'

/** The commits at the beginning of a pack. */
export type PackCommits = {
  /** The parents of each commit that was found. */
  readonly parents: ReadonlyMap<string, readonly string[]>
  /** Whether all commits of the pack are among them. */
  readonly isComplete: boolean
}

/** The history of a commit, as far as the pack contains it. */
export type PackHistory = {
  /** The commit and its ancestors. */
  readonly commits: ReadonlySet<string>
  /** The commits among them that the pack doesn't contain. */
  readonly edges: readonly string[]
  /** The cost of the walk: the number of parents followed. */
  readonly steps: number
}

const COMMIT = 1
const OFFSET_DELTA = 6
const ID_DELTA = 7
const HEADER_BYTES = 12
// The pack may be hostile, so gitgate decodes a bounded part of it. The rest stays unknown.
const MAX_OBJECT_BYTES = 262_144
const MAX_ENTRIES = 10_000
// Of entries, and of the objects that deltas make: 76 KB of deltas that copy a large commit would make 2.7 GB.
const MAX_DECODED_BYTES = 8 * 1_048_576
// The least that zlib accepts.
const MIN_CHUNK_BYTES = 64

/**
 * Reads the commits at the beginning of a pack (Git's documentation: gitformat-pack). It hashes their content itself, so a
 * forged pack can't claim a history. Git mostly writes commits first; other clients don't.
 *
 * @param bytes the first bytes of a pack, or all of it
 * @param idLength 40 for SHA-1, 64 for SHA-256
 */
export async function readCommits(bytes: Buffer, idLength: number): Promise<PackCommits> {
  const parents = new Map<string, readonly string[]>()
  // By offset. Objects that aren't commits are only marked.
  const objects = new Map<number, Buffer | 'other'>()
  const commits = new Map<string, Buffer>()
  if (bytes.length === 0) return { parents, isComplete: true }
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== 'PACK') return { parents, isComplete: false }
  const count = bytes.readUInt32BE(8)
  let [at, decoded, unresolved] = [HEADER_BYTES, 0, 0]
  const slice = new TimeSlice()
  for (let index = 0; index < count; index++) {
    if (slice.isOver) await slice.next()
    const entry = index < MAX_ENTRIES && decoded < MAX_DECODED_BYTES ? readEntry(bytes, at, idLength / 2) : undefined
    if (entry === undefined) return { parents, isComplete: false }
    decoded += entry.content.length
    const base = entry.baseOffset === undefined ? commits.get(entry.baseId ?? '') : objects.get(at - entry.baseOffset)
    const object = entry.isDelta ? resolve(entry.content, base) : entry.type === COMMIT ? entry.content : 'other'
    if (object === undefined) {
      // Perhaps a commit, as a difference to an object that is not here.
      unresolved += 1
    } else {
      objects.set(at, object)
      if (object !== 'other') {
        if (entry.isDelta) decoded += object.length
        const id = commitId(object, idLength)
        commits.set(id, object)
        parents.set(id, parentsOf(object, idLength))
      }
    }
    at = entry.end
  }
  return { parents, isComplete: unresolved === 0 }
}

/** An object of which a delta was sent; of the same kind as its base. */
function resolve(delta: Buffer, base: Buffer | 'other' | undefined): Buffer | 'other' | undefined {
  return base === undefined || base === 'other' ? base : applyDelta(base, delta, MAX_OBJECT_BYTES)
}

/** Walks from a commit along its parents, as far as the pack goes. */
export async function traceHistory({ parents }: PackCommits, from: string): Promise<PackHistory> {
  const commits = new Set<string>()
  const edges: string[] = []
  const waiting = [from]
  const slice = new TimeSlice()
  let steps = 0
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    steps += 1
    if (slice.isOver) await slice.next()
    if (commits.has(id)) continue
    commits.add(id)
    const above = parents.get(id)
    if (above === undefined) edges.push(id)
    else waiting.push(...above)
  }
  return { commits, edges, steps }
}

type Entry = {
  readonly type: number
  readonly isDelta: boolean
  /** The base of a delta: how far before it, or by its id. */
  readonly baseOffset: number | undefined
  readonly baseId: string | undefined
  readonly content: Buffer
  /** Where the next one begins. */
  readonly end: number
}

/** One entry, decoded; `undefined` if it is truncated, damaged or too large. */
function readEntry(bytes: Buffer, start: number, rawIdLength: number): Entry | undefined {
  const head = readEntryHead(bytes, start)
  if (head === undefined) return undefined
  let [at, baseOffset, baseId]: [number, number | undefined, string | undefined] = [head.end, undefined, undefined]
  if (head.type === OFFSET_DELTA) {
    const offset = readOffset(bytes, at)
    if (offset === undefined) return undefined
    ;[baseOffset, at] = [offset.value, offset.end]
  } else if (head.type === ID_DELTA) {
    baseId = bytes.toString('hex', at, at + rawIdLength)
    at += rawIdLength
  }
  const inflated = inflate(bytes, at, head.size)
  const isDelta = head.type === OFFSET_DELTA || head.type === ID_DELTA
  return inflated && { type: head.type, isDelta, baseOffset, baseId, ...inflated }
}

/** Type and size of an entry: three bits and four, then seven a byte. */
function readEntryHead(bytes: Buffer, start: number): { type: number; size: number; end: number } | undefined {
  let [at, size, factor] = [start, 0, 16]
  let byte = bytes[at++]
  if (byte === undefined) return undefined
  const type = (byte >> 4) & 7
  size = byte & 15
  while ((byte & 0x80) !== 0) {
    byte = bytes[at++]
    if (byte === undefined || factor > Number.MAX_SAFE_INTEGER / 256) return undefined
    size += (byte & 0x7f) * factor
    factor *= 128
  }
  return { type, size, end: at }
}

/** How far before a delta its base begins: seven bits a byte, the highest first, each further byte adding one. */
function readOffset(bytes: Buffer, start: number): { value: number; end: number } | undefined {
  let [at, value] = [start, -1]
  for (;;) {
    const byte = bytes[at++]
    if (byte === undefined || at - start > 8) return undefined
    value = (value + 1) * 128 + (byte & 0x7f)
    if ((byte & 0x80) === 0) return { value, end: at }
  }
}

function inflate(bytes: Buffer, start: number, size: number): { content: Buffer; end: number } | undefined {
  if (start >= bytes.length || size > MAX_OBJECT_BYTES) return undefined
  try {
    // A result keeps its whole chunk in memory: 16 KiB by default, for a commit of 200 bytes.
    const options = { info: true, maxOutputLength: size + 1, chunkSize: Math.max(size + 1, MIN_CHUNK_BYTES) }
    // Node's types don't cover the result with `info`.
    const { buffer, engine } = inflateSync(bytes.subarray(start), options) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    return buffer.length === size ? { content: buffer, end: start + engine.bytesWritten } : undefined
  } catch {
    // Truncated by the end of what was read, or damaged, which the receiver reports.
    return undefined
  }
}

function commitId(content: Buffer, idLength: number): string {
  const hash = createHash(idLength === 64 ? 'sha256' : 'sha1')
  return hash.update(`commit ${content.length}\0`).update(content).digest('hex')
}

/** The `parent` lines that git reads: those right after the `tree`. Others only look like parents. */
function parentsOf(content: Buffer, idLength: number): string[] {
  const id = `[0-9a-f]{${idLength}}`
  const [, lines = ''] = new RegExp(`^tree ${id}\n((?:parent ${id}\n)*)`).exec(content.toString('latin1')) ?? []
  return [...lines.matchAll(/parent (.+)\n/g)].map(([, parent = '']) => parent)
}
