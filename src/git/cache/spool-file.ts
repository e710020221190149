import { close, open, read, unlink } from 'node:fs'
import { promisify } from 'node:util'
import { GitgateError } from '../../core/errors.js'
import { SlidingWindow } from './window.js'
import { lengthOf, writeWhole } from './write-whole.js'

const openFile = promisify(open)
const closeFile = promisify(close)
const unlinkFile = promisify(unlink)

// Up to this length an answer stays in memory: advertisements and lists of refs, read by thousands a second.
const IN_MEMORY = 1_048_576
// Git writes pieces of 64 KiB; gathered, a file of 112 MB is written with half the CPU (measured).
const GATHERED = 524_288
const GATHER_FOR = 15

/** The part of the cache's quota that an entry may use. */
export type Room = {
  /** Asks for room in memory. @returns whether it is there; where it is not, the answer goes to its file */
  readonly claimMemory: (bytes: number) => boolean
  /** Asks for room on the disk. @returns whether it is there; where it is not, the answer is not kept */
  readonly claimDisk: (bytes: number) => boolean
  /** Gives back what was claimed. */
  readonly release: (inMemory: number, onDisk: number) => void
  /**
   * Called once when not all of it can be kept: nobody may begin to read it any more.
   *
   * @param error of the disk; `undefined` where there is no room
   */
  readonly onLost: (error?: unknown) => void
}

/**
 * The bytes of an answer while it grows, and afterwards: in memory, in a file once there are many, and where the file can't be written
 * in a window of memory that moves on with its readers.
 */
export class Bytes {
  readonly #path: string
  readonly #onLength: () => void
  readonly #room: Room
  /** The first bytes; all of them while they are in memory. */
  #memory: Buffer[] = []
  #isLong = false
  #file: number | undefined
  /** How many bytes are in the file. */
  #inFile = 0
  #length = 0
  #gathered: Buffer[] = []
  #gatheredLength = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #window: SlidingWindow | undefined
  readonly #positions = new Map<object, number>()
  #claimedMemory = 0
  #claimedDisk = 0
  #isGivenUp = false

  /**
   * @param path of the file, should one be needed; there must be none
   * @param onLength called when more can be read
   */
  constructor(path: string, onLength: () => void, room: Room) {
    this.#path = path
    this.#onLength = onLength
    this.#room = room
  }

  /** How many bytes can be read. */
  get length(): number {
    return this.#length
  }

  /** All of them where they are in memory. */
  get inMemory(): readonly Buffer[] | undefined {
    return this.#file === undefined && this.#window === undefined ? this.#memory : undefined
  }

  /** Adds bytes. Resolves when there is room for more. Never rejects. */
  async append(bytes: Buffer): Promise<void> {
    // Nobody reads it, and nobody will.
    if (this.#isGivenUp) return
    if (this.#window !== undefined) {
      await this.#slide(this.#window, bytes)
      return
    }
    if (!this.#isLong && this.#length + bytes.length <= IN_MEMORY && this.#room.claimMemory(bytes.length)) {
      this.#claimedMemory += bytes.length
      this.#memory.push(bytes)
      this.#length += bytes.length
      this.#onLength()
      return
    }
    // From here on, or a short piece would overtake a long one.
    this.#isLong = true
    this.#gathered.push(bytes)
    this.#gatheredLength += bytes.length
    if (this.#gatheredLength >= GATHERED) {
      await this.flush()
      return
    }
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_FOR)
  }

  /** Makes everything readable that was added. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /**
   * Reads from a position on.
   *
   * @param reader who has entered; of a window, what all have read is dropped
   * @returns how many bytes were read: none where there are none yet; `undefined` for a reader that was left behind
   */
  async read(reader: object, position: number, into: Buffer): Promise<number | undefined> {
    if (!this.#positions.has(reader)) return undefined
    this.#positions.set(reader, position)
    if (position >= this.#length) return 0
    if (this.#file !== undefined && position < this.#inFile) {
      const file = this.#file
      const wanted = Math.min(into.length, this.#inFile - position)
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

  /** Notes a reader at the beginning, for whom all is kept. */
  enter(reader: object): void {
    this.#positions.set(reader, 0)
  }

  /** Forgets a reader. */
  leave(reader: object): void {
    this.#positions.delete(reader)
    this.#window?.trim()
  }

  /** Gives up memory and file, and whatever still comes. */
  async dispose(): Promise<void> {
    clearTimeout(this.#timer)
    this.#isGivenUp = true
    this.#window?.close()
    // At once, or others would go for the room that this one gives.
    this.#room.release(this.#claimedMemory, this.#claimedDisk)
    this.#claimedMemory = 0
    this.#claimedDisk = 0
    await this.#writing
    this.#memory = []
    this.#gathered = []
    this.#window = undefined
    const file = this.#file
    this.#file = undefined
    if (file === undefined) return
    await unlinkFile(this.#path).catch(() => undefined)
    await closeFile(file).catch(() => undefined)
  }

  async #write(): Promise<void> {
    const pieces = this.#gathered
    this.#gathered = []
    this.#gatheredLength = 0
    if (pieces.length === 0 || this.#isGivenUp) return
    try {
      const wanted = lengthOf(pieces) + (this.#file === undefined ? lengthOf(this.#memory) : 0)
      if (!this.#room.claimDisk(wanted)) {
        this.#room.onLost()
        this.#goOnInMemory(pieces)
        return
      }
      this.#claimedDisk += wanted
      if (this.#file === undefined) {
        this.#file = await openFile(this.#path, 'wx+', 0o600)
        await this.#put(this.#file, this.#memory)
      }
      await this.#put(this.#file, pieces)
      this.#memory = []
      this.#room.release(this.#claimedMemory, 0)
      this.#claimedMemory = 0
      this.#length = this.#inFile
      this.#onLength()
    } catch (error) {
      this.#room.onLost(error)
      this.#goOnInMemory(pieces)
    }
  }

  /** What the file has holds; the rest lives in memory from here on. */
  #goOnInMemory(pieces: readonly Buffer[]): void {
    const window = new SlidingWindow(this.#inFile, this.#positions)
    for (const piece of [...(this.#inFile === 0 ? this.#memory : []), ...pieces, ...this.#gathered]) window.add(piece)
    this.#memory = []
    this.#gathered = []
    this.#gatheredLength = 0
    this.#window = window
    this.#length = window.end
    this.#onLength()
  }

  async #put(file: number, pieces: readonly Buffer[]): Promise<void> {
    await writeWhole(file, pieces, this.#inFile)
    this.#inFile += lengthOf(pieces)
  }

  async #slide(window: SlidingWindow, bytes: Buffer): Promise<void> {
    window.add(bytes)
    this.#length = window.end
    this.#onLength()
    await window.room()
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
