// What readers may be behind.
const LARGEST = 8 * 1_048_576
// A client that takes nothing for so long holds up no others.
const PATIENCE = 30_000

/**
 * What readers have yet to take of an answer, where there is no room for all of it. It moves on with the slowest of them; who
 * stands still while others wait is left behind.
 */
export class SlidingWindow {
  readonly #positions: Map<object, number>
  readonly #patience: number
  #pieces: { readonly at: number; readonly bytes: Buffer }[] = []
  #end: number
  #onRoom: (() => void) | undefined

  /**
   * @param start the position of its first byte
   * @param positions of the readers, from which those are taken who are left behind
   * @param patience milliseconds
   */
  constructor(start: number, positions: Map<object, number>, patience = PATIENCE) {
    this.#end = start
    this.#positions = positions
    this.#patience = patience
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

  /** Drops what all have read. */
  trim(): void {
    const first = Math.min(...this.#positions.values(), this.#end)
    while (this.#pieces[0] !== undefined && this.#pieces[0].at + this.#pieces[0].bytes.length <= first)
      this.#pieces.shift()
    if (this.#length() <= LARGEST) this.#giveRoom()
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    this.trim()
    while (this.#length() > LARGEST) {
      const before = new Map(this.#positions)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve
        timer = setTimeout(resolve, this.#patience)
      })
      clearTimeout(timer)
      if (this.#length() > LARGEST) this.#leaveBehind(before)
    }
  }

  /** Has the writer go on. */
  #giveRoom(): void {
    this.#onRoom?.()
    this.#onRoom = undefined
  }

  /** Drops all; nobody reads it any more. */
  close(): void {
    this.#positions.clear()
    this.trim()
  }

  #leaveBehind(before: ReadonlyMap<object, number>): void {
    // Where nobody waits for more, nobody is held up.
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
