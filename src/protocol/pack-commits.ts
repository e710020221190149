import { createHash } from 'node:crypto'
import { inflateSync } from 'node:zlib'

/** What the beginning of a pack tells of history. */
export type PackCommits = {
  /** The parents of each commit that was found. */
  readonly parents: ReadonlyMap<string, readonly string[]>
  /** Whether all commits of the pack are among them. */
  readonly isWhole: boolean
}

/** The verdict on an update: a proof, or the commits at which the pack's own history ends without one. */
export type Ancestry = { readonly kind: 'proven' } | { readonly kind: 'open'; readonly edges: readonly string[] }

const COMMIT = 1
const TREE = 2
const BLOB = 3
const OFFSET_DELTA = 6
const ID_DELTA = 7
const HEADER_BYTES = 12
// Larger commits, and more of them, are left unknown: what is decoded here is bounded, whoever made the pack.
const MAX_COMMIT = 262_144
const MAX_ENTRIES = 10_000
const MAX_DECODED = 8 * 1_048_576

/**
 * Reads the commits that a pack begins with: git writes them before trees and blobs (Git's documentation:
 * gitformat-pack). A commit is known by the hash of what it holds, so that a forged pack can't claim a history.
 *
 * @param bytes the first bytes of a pack, or all of it
 * @param idLength 40 for SHA-1, 64 for SHA-256
 */
export function readCommits(bytes: Buffer, idLength: number): PackCommits {
  const parents = new Map<string, readonly string[]>()
  const found = (isWhole: boolean): PackCommits => ({ parents, isWhole })
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== 'PACK') return found(bytes.length === 0)
  const count = bytes.readUInt32BE(8)
  let at = HEADER_BYTES
  let isWhole = true
  let decoded = 0
  for (let index = 0; index < count; index++) {
    if (index === MAX_ENTRIES || decoded > MAX_DECODED) return found(false)
    const entry = readEntryHead(bytes, at)
    if (entry === undefined) return found(false)
    if (entry.type === TREE || entry.type === BLOB) return found(isWhole)
    const isDelta = entry.type === OFFSET_DELTA || entry.type === ID_DELTA
    // Perhaps a commit, as a difference to one that the receiver has.
    if (isDelta) isWhole = false
    const start = entry.end + baseLength(bytes, entry.type, entry.end, idLength / 2)
    const object = inflate(bytes, start, entry.size)
    if (object === undefined) return found(false)
    decoded += object.content.length
    if (entry.type === COMMIT) parents.set(commitId(object.content, idLength), parentsOf(object.content, idLength))
    at = object.end
  }
  return found(isWhole)
}

/** Walks from a commit along its parents, looking for another. */
export function traceAncestry({ parents }: PackCommits, from: string, to: string): Ancestry {
  const seen = new Set<string>()
  const edges: string[] = []
  const waiting = [from]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === to) return { kind: 'proven' }
    if (seen.has(id)) continue
    seen.add(id)
    const above = parents.get(id)
    if (above === undefined) edges.push(id)
    else waiting.push(...above)
  }
  return { kind: 'open', edges }
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

/** How many bytes name the base of a delta. */
function baseLength(bytes: Buffer, type: number, start: number, rawIdLength: number): number {
  if (type === ID_DELTA) return rawIdLength
  if (type !== OFFSET_DELTA) return 0
  let length = 1
  while (((bytes[start + length - 1] ?? 0) & 0x80) !== 0) length++
  return length
}

function inflate(bytes: Buffer, start: number, size: number): { content: Buffer; end: number } | undefined {
  if (start >= bytes.length || size > MAX_COMMIT) return undefined
  try {
    const options = { info: true, maxOutputLength: size + 1 }
    // With `info`, the types of Node don't tell what comes back.
    const { buffer, engine } = inflateSync(bytes.subarray(start), options) as unknown as {
      buffer: Buffer
      engine: { bytesWritten: number }
    }
    return buffer.length === size ? { content: buffer, end: start + engine.bytesWritten } : undefined
  } catch {
    // Cut off by the end of what was read, or damaged: the receiver will tell.
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
