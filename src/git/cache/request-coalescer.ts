/** A request that may proceed, alone or with others. */
export type CoalescedRequest = {
  /** The key under which the requests of a batch share one response; `undefined` for a request alone. */
  readonly sharedKey: string | undefined
  /** To be called when the response has arrived or failed. Only the first call counts. */
  readonly end: () => void
}

/** Identical requests that wait for the current one. */
type Batch = { readonly members: Set<(coalesced: CoalescedRequest) => void>; readonly timer: NodeJS.Timeout }

// A response may take long, or never come. Later requests wait this long for it, and then proceed.
const COALESCE_TIMEOUT_MS = 1_000

/**
 * Coalesces identical requests. While one runs, later ones wait and share the next one, so that none gets a response older
 * than itself.
 */
export class RequestCoalescer {
  readonly #timeoutMs: number
  /** Requests in progress, by key. */
  readonly #running = new Map<string, number>()
  readonly #batches = new Map<string, Batch>()
  #batchCount = 0

  /** @param timeoutMs how long a request waits for the current one, in milliseconds */
  constructor(timeoutMs = COALESCE_TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs
  }

  /**
   * Waits until a request may proceed.
   *
   * @param key equal for identical requests
   * @returns `undefined` if the signal was aborted before
   */
  async join(key: string, signal: AbortSignal): Promise<CoalescedRequest | undefined> {
    if (signal.aborted) return undefined
    if (!this.#running.has(key)) return { sharedKey: undefined, end: this.#begin(key) }
    const { members } = this.#batch(key)
    return await new Promise((resolve) => {
      const leave = (): void => {
        members.delete(go)
        resolve(undefined)
      }
      const go = (coalesced: CoalescedRequest): void => {
        signal.removeEventListener('abort', leave)
        resolve(coalesced)
      }
      members.add(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #batch(key: string): Batch {
    const known = this.#batches.get(key)
    if (known !== undefined) return known
    const timer = setTimeout(() => this.#release(key), this.#timeoutMs)
    const batch: Batch = { members: new Set(), timer }
    this.#batches.set(key, batch)
    return batch
  }

  /** Lets the waiting requests proceed as one. */
  #release(key: string): void {
    const batch = this.#batches.get(key)
    if (batch === undefined) return
    const { members, timer } = batch
    clearTimeout(timer)
    this.#batches.delete(key)
    if (members.size === 0) return
    this.#batchCount += 1
    const coalesced: CoalescedRequest = {
      sharedKey: members.size === 1 ? undefined : `${key} ${this.#batchCount}`,
      end: this.#begin(key),
    }
    for (const go of members) go(coalesced)
  }

  /** @returns a function that ends it */
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
