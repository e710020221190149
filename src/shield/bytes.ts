import { close, open, read, unlink, writev } from 'node:fs'
import { promisify } from 'node:util'
import { GitgateError } from '../errors.js'

const openFile = promisify(open)
const closeFile = promisify(close)
const unlinkFile = promisify(unlink)

// Up to this length an answer stays in memory: advertisements and lists of refs, read by thousands a second.
const IN_MEMORY = 1_048_576
// Git writes pieces of 64 KiB; gathered, a file of 112 MB is written with half the CPU (measured).
const GATHERED = 524_288
const GATHER_FOR = 15
// What readers may be behind when the disk is full, and the answer lives on in memory alone.
const WINDOW = 8 * 1_048_576

/**
 * The bytes of an answer while it grows, and afterwards: in memory, in a file once there are many, and where the file can't be written
 * in a window of memory that moves on with its readers.
 */
export class Bytes {
  readonly #path: string
  readonly #onLength: () => void
  readonly #onLost: (error: unknown) => void
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
  #window: { readonly at: number; readonly bytes: Buffer }[] | undefined
  readonly #positions = new Map<object, number>()
  #onRoom: (() => void) | undefined

  /**
   * @param path of the file, should one be needed; there must be none
   * @param onLength called when more can be read
   * @param onLost called once when the file can't be written: then nobody may begin to read any more
   */
  constructor(path: string, onLength: () => void, onLost: (error: unknown) => void) {
    this.#path = path
    this.#onLength = onLength
    this.#onLost = onLost
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
    if (this.#window !== undefined) return this.#slide(bytes)
    if (!this.#isLong && this.#length + bytes.length <= IN_MEMORY) {
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
   * @param reader who reads; of a window, what all have read is dropped
   * @returns how many bytes were read: none where there are none yet
   */
  async read(reader: object, position: number, into: Buffer): Promise<number> {
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
    const count = copyWindow(this.#window, position, into)
    this.#positions.set(reader, position + count)
    this.#trim()
    return count
  }

  /** Notes a reader at the beginning, for whom all is kept. */
  enter(reader: object): void {
    this.#positions.set(reader, 0)
  }

  /** Forgets a reader. */
  leave(reader: object): void {
    this.#positions.delete(reader)
    this.#trim()
  }

  /** Gives up memory and file. */
  async dispose(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#writing
    this.#memory = []
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
    if (pieces.length === 0) return
    try {
      if (this.#file === undefined) {
        this.#file = await openFile(this.#path, 'wx+', 0o600)
        await this.#put(this.#memory)
      }
      await this.#put(pieces)
      this.#memory = []
      this.#length = this.#inFile
      this.#onLength()
    } catch (error) {
      // What the file has holds; the rest lives in memory from here on.
      this.#onLost(error)
      this.#window = []
      const lost = [...(this.#inFile === 0 ? this.#memory : []), ...pieces, ...this.#gathered]
      this.#memory = []
      this.#gathered = []
      this.#gatheredLength = 0
      this.#length = this.#inFile
      for (const piece of lost) this.#add(piece)
      this.#onLength()
    }
  }

  async #put(pieces: readonly Buffer[]): Promise<void> {
    const file = this.#file
    if (file === undefined || pieces.length === 0) return
    const wanted = pieces.reduce((sum, piece) => sum + piece.length, 0)
    let left = [...pieces]
    let written = 0
    while (written < wanted) {
      const count = await new Promise<number>((resolve, reject) => {
        writev(file, left, this.#inFile + written, (error, bytes) => (error === null ? resolve(bytes) : reject(error)))
      })
      written += count
      left = after(left, count)
    }
    this.#inFile += written
  }

  async #slide(bytes: Buffer): Promise<void> {
    this.#add(bytes)
    this.#onLength()
    this.#trim()
    if (this.#windowLength() > WINDOW) await new Promise<void>((resolve) => (this.#onRoom = resolve))
  }

  #add(bytes: Buffer): void {
    this.#window?.push({ at: this.#length, bytes })
    this.#length += bytes.length
  }

  #trim(): void {
    const first = Math.min(...this.#positions.values(), this.#length)
    while (this.#window?.[0] !== undefined && this.#window[0].at + this.#window[0].bytes.length <= first)
      this.#window.shift()
    if (this.#windowLength() > WINDOW) return
    this.#onRoom?.()
    this.#onRoom = undefined
  }

  #windowLength(): number {
    const first = this.#window?.[0]
    return first === undefined ? 0 : this.#length - first.at
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

function copyWindow(
  pieces: readonly { readonly at: number; readonly bytes: Buffer }[],
  position: number,
  into: Buffer,
): number {
  let count = 0
  for (const { at, bytes } of pieces) {
    if (count === into.length) break
    const from = position + count - at
    if (from >= 0 && from < bytes.length) count += bytes.copy(into, count, from)
  }
  return count
}

function after(pieces: readonly Buffer[], count: number): Buffer[] {
  let left = count
  return pieces.flatMap((piece) => {
    const taken = Math.min(left, piece.length)
    left -= taken
    return taken === piece.length ? [] : [piece.subarray(taken)]
  })
}
