import { close, open, read, unlink, writev } from 'node:fs'
import { promisify } from 'node:util'
import { GitgateError } from '../../core/errors.js'
import { SlidingWindow } from './sliding-window.js'

const openFile = promisify(open)
const closeFile = promisify(close)
const unlinkFile = promisify(unlink)

// A response up to this length stays in memory: advertisements and lists of refs, read by thousands a second.
const MEMORY_LIMIT_BYTES = 1_048_576
// Git writes pieces of 64 KiB. Writing them together takes half the CPU for a file of 112 MB (measured).
const WRITE_SIZE_BYTES = 524_288
const WRITE_DELAY_MS = 15

/** The part of the cache's quota that an entry may use. */
export type StorageBudget = {
  /** Claims memory. @returns whether there is enough; otherwise the response goes to its file */
  readonly claimMemory: (bytes: number) => boolean
  /** Claims disk space. @returns whether there is enough; otherwise the response is not kept */
  readonly claimDisk: (bytes: number) => boolean
  /** Releases what was claimed. */
  readonly release: (inMemory: number, onDisk: number) => void
  /**
   * Called once when the response can't be kept: no further client may start to read it.
   *
   * @param error of the disk; `undefined` when the quota is used up
   */
  readonly onLost: (error?: unknown) => void
}

/**
 * The bytes of a response, while it grows and afterwards: in memory while short, then in a file, and in a sliding window of memory when
 * the file can't be written.
 */
export class SpoolFile {
  readonly #path: string
  readonly #onLength: () => void
  readonly #budget: StorageBudget
  /** The bytes, until they are written to the file. */
  #memory: Buffer[] = []
  #usesFile = false
  #file: number | undefined
  /** Bytes in the file. */
  #fileLength = 0
  #length = 0
  #pending: Buffer[] = []
  #pendingLength = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #window: SlidingWindow | undefined
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
    return this.#file === undefined && this.#window === undefined ? this.#memory : undefined
  }

  /** Adds bytes. Resolves when more can be added. Never rejects. */
  async append(bytes: Buffer): Promise<void> {
    // It has no reader, and won't get one.
    if (this.#isDisposed) return
    if (this.#window !== undefined) {
      await this.#appendToWindow(this.#window, bytes)
      return
    }
    if (
      !this.#usesFile &&
      this.#length + bytes.length <= MEMORY_LIMIT_BYTES &&
      this.#budget.claimMemory(bytes.length)
    ) {
      this.#claimedMemory += bytes.length
      this.#memory.push(bytes)
      this.#length += bytes.length
      this.#onLength()
      return
    }
    // From now on all goes to the file, or a short piece would overtake a long one.
    this.#usesFile = true
    this.#pending.push(bytes)
    this.#pendingLength += bytes.length
    if (this.#pendingLength >= WRITE_SIZE_BYTES) {
      await this.flush()
      return
    }
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_DELAY_MS)
  }

  /** Makes all added bytes readable. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /**
   * Reads from a position.
   *
   * @param reader that was added. A window drops what all readers have read
   * @returns how many bytes were read, 0 if there are none yet; `undefined` for a reader that was dropped because it stalled
   */
  async read(reader: object, position: number, into: Buffer): Promise<number | undefined> {
    if (!this.#positions.has(reader)) return undefined
    this.#positions.set(reader, position)
    if (position >= this.#length) return 0
    if (this.#file !== undefined && position < this.#fileLength) {
      const file = this.#file
      const wanted = Math.min(into.length, this.#fileLength - position)
      return await new Promise((resolve, reject) => {
        read(file, into, 0, wanted, position, (error, count) => {
          if (error === null && count > 0) resolve(count)
          else reject(error ?? new GitgateError('store', `${this.#path} is shorter than it was`))
        })
      })
    }
    if (this.#window === undefined) return copyFrom(this.#memory, position, into)
    const count = this.#window.read(position, into)
    this.#positions.set(reader, position + count)
    this.#window.trim()
    return count
  }

  /** Adds a reader at the start of the response. */
  addReader(reader: object): void {
    this.#positions.set(reader, 0)
  }

  /** Removes a reader. */
  removeReader(reader: object): void {
    this.#positions.delete(reader)
    this.#window?.trim()
  }

  /** Frees memory and file, and ignores further bytes. */
  async dispose(): Promise<void> {
    clearTimeout(this.#timer)
    this.#isDisposed = true
    this.#window?.close()
    // Before anything else: otherwise more entries than needed would be evicted.
    this.#budget.release(this.#claimedMemory, this.#claimedDisk)
    this.#claimedMemory = 0
    this.#claimedDisk = 0
    await this.#writing
    this.#memory = []
    this.#pending = []
    this.#window = undefined
    const file = this.#file
    this.#file = undefined
    if (file === undefined) return
    await unlinkFile(this.#path).catch(() => undefined)
    await closeFile(file).catch(() => undefined)
  }

  async #write(): Promise<void> {
    const pieces = this.#pending
    this.#pending = []
    this.#pendingLength = 0
    if (pieces.length === 0 || this.#isDisposed) return
    try {
      const wanted = lengthOf(pieces) + (this.#file === undefined ? lengthOf(this.#memory) : 0)
      if (!this.#budget.claimDisk(wanted)) {
        this.#budget.onLost()
        this.#fallBackToMemory(pieces)
        return
      }
      this.#claimedDisk += wanted
      if (this.#file === undefined) {
        this.#file = await openFile(this.#path, 'wx+', 0o600)
        await this.#writePieces(this.#file, this.#memory)
      }
      await this.#writePieces(this.#file, pieces)
      this.#memory = []
      this.#budget.release(this.#claimedMemory, 0)
      this.#claimedMemory = 0
      this.#length = this.#fileLength
      this.#onLength()
    } catch (error) {
      this.#budget.onLost(error)
      this.#fallBackToMemory(pieces)
    }
  }

  /** Keeps what the file has, and the rest in a window of memory. */
  #fallBackToMemory(pieces: readonly Buffer[]): void {
    const window = new SlidingWindow(this.#fileLength, this.#positions)
    for (const piece of [...(this.#fileLength === 0 ? this.#memory : []), ...pieces, ...this.#pending])
      window.add(piece)
    this.#memory = []
    this.#pending = []
    this.#pendingLength = 0
    this.#window = window
    this.#length = window.end
    this.#onLength()
  }

  async #writePieces(file: number, pieces: readonly Buffer[]): Promise<void> {
    await writeAll(file, pieces, this.#fileLength)
    this.#fileLength += lengthOf(pieces)
  }

  async #appendToWindow(window: SlidingWindow, bytes: Buffer): Promise<void> {
    window.add(bytes)
    this.#length = window.end
    this.#onLength()
    await window.waitForSpace()
  }
}

function copyFrom(pieces: readonly Buffer[], position: number, into: Buffer): number {
  let at = 0
  let count = 0
  for (const piece of pieces) {
    if (count === into.length) break
    const from = position + count - at
    if (from < piece.length) count += piece.copy(into, count, Math.max(0, from))
    at += piece.length
  }
  return count
}

/** The total length of pieces in bytes. */
function lengthOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

/** Writes all pieces to a file: one writev may write fewer bytes. */
async function writeAll(file: number, pieces: readonly Buffer[], position: number): Promise<void> {
  const wanted = lengthOf(pieces)
  let left = pieces
  for (let written = 0; written < wanted;) {
    const count = await new Promise<number>((resolve, reject) => {
      writev(file, [...left], position + written, (error, bytes) => (error === null ? resolve(bytes) : reject(error)))
    })
    written += count
    left = after(left, count)
  }
}

function after(pieces: readonly Buffer[], count: number): Buffer[] {
  let left = count
  return pieces.flatMap((piece) => {
    const taken = Math.min(left, piece.length)
    left -= taken
    return taken === piece.length ? [] : [piece.subarray(taken)]
  })
}
