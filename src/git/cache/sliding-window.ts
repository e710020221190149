// How far readers may fall behind.
const WINDOW_BYTES = 8 * 1_048_576
// A client that takes nothing for this long no longer holds up the others.
const STALL_TIMEOUT_MS = 30_000

/**
 * The part of a response that its readers have yet to take, when the whole can't be stored. It moves with the slowest reader; a
 * reader that stalls while others wait is dropped.
 */
export class SlidingWindow {
  readonly #positions: Map<object, number>
  readonly #stallTimeoutMs: number
  #pieces: { readonly at: number; readonly bytes: Buffer }[] = []
  #end: number
  #onSpace: (() => void) | undefined

  /**
   * @param start the position of its first byte
   * @param positions of the readers; stalled readers are removed from it
   * @param stallTimeoutMs after which a reader that takes nothing is dropped
   */
  constructor(start: number, positions: Map<object, number>, stallTimeoutMs = STALL_TIMEOUT_MS) {
    this.#end = start
    this.#positions = positions
    this.#stallTimeoutMs = stallTimeoutMs
  }

  /** The position behind its last byte. */
  get end(): number {
    return this.#end
  }

  add(bytes: Buffer): void {
    this.#pieces.push({ at: this.#end, bytes })
    this.#end += bytes.length
  }

  /** @returns how many bytes were read */
  read(position: number, into: Buffer): number {
    let count = 0
    for (const { at, bytes } of this.#pieces) {
      if (count === into.length) break
      const from = position + count - at
      if (from >= 0 && from < bytes.length) count += bytes.copy(into, count, from)
    }
    return count
  }

  /** Drops what all readers have read. */
  trim(): void {
    const first = Math.min(...this.#positions.values(), this.#end)
    while (this.#pieces[0] !== undefined && this.#pieces[0].at + this.#pieces[0].bytes.length <= first)
      this.#pieces.shift()
    if (this.#length() <= WINDOW_BYTES) this.#releaseWriter()
  }

  /** Resolves when bytes can be added. */
  async waitForSpace(): Promise<void> {
    this.trim()
    while (this.#length() > WINDOW_BYTES) {
      const before = new Map(this.#positions)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#onSpace = resolve
        timer = setTimeout(resolve, this.#stallTimeoutMs)
      })
      clearTimeout(timer)
      if (this.#length() > WINDOW_BYTES) this.#dropStalledReaders(before)
    }
  }

  /** Lets the writer continue. */
  #releaseWriter(): void {
    this.#onSpace?.()
    this.#onSpace = undefined
  }

  /** Drops everything and all readers. */
  close(): void {
    this.#positions.clear()
    this.trim()
  }

  #dropStalledReaders(before: ReadonlyMap<object, number>): void {
    // If no reader waits for more, none is held up.
    if (![...this.#positions.values()].some((position) => position >= this.#end)) return
    for (const [reader, position] of before)
      if (position < this.#end && this.#positions.get(reader) === position) this.#positions.delete(reader)
    this.trim()
  }

  #length(): number {
    const first = this.#pieces[0]
    return first === undefined ? 0 : this.#end - first.at
  }
}
