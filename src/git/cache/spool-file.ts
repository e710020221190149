import { read } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, unlink } from 'node:fs/promises'
import { GitgateError } from '../../core/errors.js'

// A response up to this length stays in memory: advertisements and ref lists, which are read thousands of times a second.
const MEMORY_LIMIT_BYTES = 1_048_576
// Git writes pieces of 64 KiB. Writing them together takes half the CPU for a file of 112 MB (measured).
const WRITE_SIZE_BYTES = 524_288
const WRITE_DELAY_MS = 15
// How far the slowest reader may fall behind a response that isn't stored.
const UNSTORED_LIMIT_BYTES = 8 * 1_048_576
// A reader that makes no room for this long no longer holds up the others.
const STALL_TIMEOUT_MS = 30_000

/** The part of the cache's quota that an entry may use. */
export type StorageBudget = {
  /** Claims memory. @returns whether there is enough; otherwise the response goes to its file */
  readonly claimMemory: (bytes: number) => boolean
  /** Claims disk space. @returns whether there is enough; otherwise the response is not stored */
  readonly claimDisk: (bytes: number) => boolean
  /** Releases what was claimed. */
  readonly release: (inMemory: number, onDisk: number) => void
  /**
   * Called once when the response can't be stored: no further client may start to read it.
   *
   * @param error of the disk; `undefined` when the quota is used up
   */
  readonly onLost: (error?: unknown) => void
}

/**
 * The bytes of a response while it grows and afterwards: in memory while it is short, then in a file.
 *
 * When the disk fails or the quota is used up, the response is `unstored`. Clones must not fail because of that, so its
 * readers get the rest from memory. Nobody else may join them, so a piece is dropped when all of them have read it. If they
 * fall too far behind, the backend waits for the slowest, so memory stays bounded. A reader that stalls is dropped only when
 * another one waits for more.
 */
export class SpoolFile {
  readonly #path: string
  readonly #onLength: () => void
  readonly #budget: StorageBudget
  #storage: 'memory' | 'file' | 'unstored' = 'memory'
  #file: FileHandle | undefined
  #fileLength = 0
  /** The bytes that are not in the file, from {@link #start} to {@link #end}. */
  #pieces: Buffer[] = []
  #start = 0
  #end = 0
  #length = 0
  #writeTimer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #onRoom: (() => void) | undefined
  /** How far each reader has read. */
  readonly #positions = new Map<object, number>()
  #claimedMemory = 0
  #claimedDisk = 0
  #isDisposed = false

  /**
   * @param path of the file, created when it is needed
   * @param onLength called when more bytes can be read
   */
  constructor(path: string, onLength: () => void, budget: StorageBudget) {
    this.#path = path
    this.#onLength = onLength
    this.#budget = budget
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#length
  }

  /** All bytes, if they are in memory. */
  get inMemory(): readonly Buffer[] | undefined {
    return this.#storage === 'memory' ? this.#pieces : undefined
  }

  /** Adds bytes. Resolves when more can be added. Never rejects. */
  async append(bytes: Buffer): Promise<void> {
    // It has no reader, and won't get one.
    if (this.#isDisposed) return
    this.#pieces.push(bytes)
    this.#end += bytes.length
    if (this.#storage === 'memory' && !this.#claimMemory(bytes.length)) this.#storage = 'file'
    switch (this.#storage) {
      case 'memory':
        this.#publish(this.#end)
        return
      case 'file':
        if (this.#end - this.#start >= WRITE_SIZE_BYTES) await this.flush()
        else this.#writeTimer ??= setTimeout(() => void this.flush(), WRITE_DELAY_MS)
        return
      case 'unstored':
        this.#publish(this.#end)
        await this.#waitForReaders()
        return
    }
  }

  /** Makes all added bytes readable. */
  flush(): Promise<void> {
    clearTimeout(this.#writeTimer)
    this.#writeTimer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Adds a reader at the start of the response. */
  addReader(reader: object): void {
    this.#positions.set(reader, 0)
  }

  /**
   * Reads from a position. What a reader has read it can't read again.
   *
   * @returns how many bytes were read, 0 if there are none yet; `undefined` for a reader that was dropped
   */
  async read(reader: object, position: number, into: Buffer): Promise<number | undefined> {
    if (!this.#positions.has(reader)) return undefined
    const count =
      this.#file !== undefined && position < this.#fileLength
        ? await this.#readFile(this.#file, position, into)
        : copyFrom(this.#pieces, position - this.#start, into.subarray(0, Math.max(this.#length - position, 0)))
    if (this.#positions.has(reader)) this.#positions.set(reader, position + count)
    this.#dropReadPieces()
    return count
  }

  /** Removes a reader. */
  removeReader(reader: object): void {
    this.#positions.delete(reader)
    this.#dropReadPieces()
  }

  /** Frees memory and file, and ignores further bytes. */
  async dispose(): Promise<void> {
    clearTimeout(this.#writeTimer)
    this.#isDisposed = true
    this.#positions.clear()
    this.#dropReadPieces()
    // Before anything else: otherwise more entries than needed would be evicted.
    this.#budget.release(this.#claimedMemory, this.#claimedDisk)
    this.#claimedMemory = 0
    this.#claimedDisk = 0
    await this.#writing
    this.#pieces = []
    const file = this.#file
    this.#file = undefined
    if (file === undefined) return
    await unlink(this.#path).catch(() => undefined)
    await file.close().catch(() => undefined)
  }

  #claimMemory(bytes: number): boolean {
    if (this.#end > MEMORY_LIMIT_BYTES || !this.#budget.claimMemory(bytes)) return false
    this.#claimedMemory += bytes
    return true
  }

  async #write(): Promise<void> {
    if (this.#storage !== 'file' || this.#pieces.length === 0 || this.#isDisposed) return
    const pieces = [...this.#pieces]
    const length = this.#end - this.#start
    try {
      if (!this.#budget.claimDisk(length)) {
        this.#goUnstored()
        return
      }
      this.#claimedDisk += length
      this.#file ??= await open(this.#path, 'wx+', 0o600)
      await writeAll(this.#file, pieces, this.#fileLength)
    } catch (error) {
      this.#goUnstored(error)
      return
    }
    this.#pieces.splice(0, pieces.length)
    this.#start += length
    this.#fileLength = this.#start
    this.#budget.release(this.#claimedMemory, 0)
    this.#claimedMemory = 0
    this.#publish(this.#fileLength)
  }

  /** By a callback: FileHandle.read takes a tenth more CPU (measured), and most of a cached clone is reading. */
  #readFile({ fd }: FileHandle, position: number, into: Buffer): Promise<number> {
    const length = Math.min(into.length, this.#fileLength - position)
    return new Promise((resolve, reject) => {
      read(fd, into, 0, length, position, (error, count) => {
        if (error === null && count > 0) resolve(count)
        else reject(error ?? new GitgateError('store', `${this.#path} is shorter than it was`))
      })
    })
  }

  #goUnstored(error?: unknown): void {
    this.#storage = 'unstored'
    this.#budget.onLost(error)
    this.#publish(this.#end)
  }

  /** Waits until the readers have read enough. One that stalls is dropped, but only if another one waits for more. */
  async #waitForReaders(): Promise<void> {
    this.#dropReadPieces()
    const timer = setInterval(() => this.#dropStalledReaders(), STALL_TIMEOUT_MS)
    while (this.#end - this.#start > UNSTORED_LIMIT_BYTES) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve
      })
    }
    clearInterval(timer)
  }

  #dropStalledReaders(): void {
    const positions = [...this.#positions.values()]
    if (!positions.includes(this.#end)) return
    const slowest = Math.min(...positions)
    for (const [reader, position] of this.#positions) if (position === slowest) this.#positions.delete(reader)
    this.#dropReadPieces()
  }

  /** Drops the pieces that all readers have read. */
  #dropReadPieces(): void {
    if (this.#storage !== 'unstored') return
    const position = Math.min(...this.#positions.values(), this.#end)
    while (this.#pieces[0] !== undefined && this.#start + this.#pieces[0].length <= position)
      this.#start += this.#pieces.shift()?.length ?? 0
    if (this.#end - this.#start <= UNSTORED_LIMIT_BYTES) this.#onRoom?.()
  }

  #publish(length: number): void {
    this.#length = length
    this.#onLength()
  }
}

/** Writes all pieces: one writev may write less. */
async function writeAll(file: FileHandle, pieces: readonly Buffer[], position: number): Promise<void> {
  for (let rest = pieces, at = position; rest.length > 0;) {
    const { bytesWritten } = await file.writev(rest, at)
    at += bytesWritten
    rest = withoutFirst(rest, bytesWritten)
  }
}

function withoutFirst(pieces: readonly Buffer[], count: number): Buffer[] {
  let left = count
  return pieces.flatMap((piece) => {
    const skipped = Math.min(left, piece.length)
    left -= skipped
    return skipped === piece.length ? [] : [piece.subarray(skipped)]
  })
}

/** Copies bytes that pieces have from an offset on. @returns how many */
function copyFrom(pieces: readonly Buffer[], offset: number, into: Buffer): number {
  let [at, count] = [0, 0]
  for (const piece of pieces) {
    if (count === into.length) break
    const from = offset + count - at
    if (from < piece.length) count += piece.copy(into, count, from)
    at += piece.length
  }
  return count
}
