/** A request's part in asking for something: alone, or together with others. */
export type Part = {
  /** What those that ask together find one answer by; `undefined` for one that asks alone. */
  readonly sharedAs: string | undefined
  /** To be called when the answer is there, or will not come. Only the first call counts. */
  readonly end: () => void
}

/** Those that wait for the same. */
type Gathering = { readonly members: Set<(part: Part) => void>; readonly timer: NodeJS.Timeout }

// Who comes while an answer takes long, perhaps for ever, asks without waiting for its end.
const PATIENCE = 1_000

/**
 * Gathers requests for what must be asked for anew each time. While one is being answered, those that come wait, and are
 * answered together when it has ended: none gets an answer that was begun before it asked.
 */
export class Gatherings {
  readonly #patience: number
  /** How many are being answered. */
  readonly #running = new Map<string, number>()
  readonly #gathered = new Map<string, Gathering>()
  #count = 0

  /** @param patience milliseconds for which a request waits for others */
  constructor(patience = PATIENCE) {
    this.#patience = patience
  }

  /**
   * Waits for the turn of a request.
   *
   * @param key the same for those that may be answered together
   * @returns `undefined` when the signal was aborted before
   */
  async join(key: string, signal: AbortSignal): Promise<Part | undefined> {
    if (signal.aborted) return undefined
    if (!this.#running.has(key)) return { sharedAs: undefined, end: this.#begin(key) }
    const { members } = this.#gathering(key)
    return await new Promise((resolve) => {
      const leave = (): void => {
        members.delete(go)
        resolve(undefined)
      }
      const go = (part: Part): void => {
        signal.removeEventListener('abort', leave)
        resolve(part)
      }
      members.add(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #gathering(key: string): Gathering {
    const known = this.#gathered.get(key)
    if (known !== undefined) return known
    const timer = setTimeout(() => this.#release(key), this.#patience)
    const gathering: Gathering = { members: new Set(), timer }
    this.#gathered.set(key, gathering)
    return gathering
  }

  /** Has all that wait be answered, by one. */
  #release(key: string): void {
    const gathering = this.#gathered.get(key)
    if (gathering === undefined) return
    const { members, timer } = gathering
    clearTimeout(timer)
    this.#gathered.delete(key)
    if (members.size === 0) return
    this.#count += 1
    const part: Part = { sharedAs: members.size === 1 ? undefined : `${key} ${this.#count}`, end: this.#begin(key) }
    for (const go of members) go(part)
  }

  /** @returns what ends it */
  #begin(key: string): () => void {
    this.#running.set(key, (this.#running.get(key) ?? 0) + 1)
    let isEnded = false
    return () => {
      if (isEnded) return
      isEnded = true
      const left = (this.#running.get(key) ?? 1) - 1
      if (left === 0) this.#running.delete(key)
      else this.#running.set(key, left)
      this.#release(key)
    }
  }
}
