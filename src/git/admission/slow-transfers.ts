import type { Intervals } from '../../core/intervals.js'
import type { BackendRequest, QueueCounts, ResponseWriter } from '../../protocol/backend.js'

// How often a transfer is looked at within the time in which it must be fast enough.
const SAMPLES = 6
// A paused transfer keeps its git, whose output waits in a pipe. More of them in one request class would cost too much memory.
const MAX_PAUSED = 16

/** A transfer that gave its slot back and goes on at its client's speed. */
type Paused = { readonly account: string; readonly abort: () => void }

/**
 * Takes slots back from transfers whose client hardly reads or sends while others wait: two accounts could hold all slots by
 * reading nothing. Such a transfer is not ended: it waits for its client, and git waits for it. Only where many of them have
 * piled up, the account with most of them loses its oldest.
 */
export class SlowTransfers {
  readonly #counts: () => QueueCounts
  readonly #sampleMs: number
  readonly #leastBytesPerMs: number
  readonly #paused = new Set<Paused>()

  /** @param counts of the request class */
  constructor(
    counts: () => QueueCounts,
    { slowTransferMs, slowTransferBytesPerSecond }: Pick<Intervals, 'slowTransferMs' | 'slowTransferBytesPerSecond'>,
  ) {
    this.#counts = counts
    this.#sampleMs = slowTransferMs / SAMPLES
    this.#leastBytesPerMs = slowTransferBytesPerSecond / 1_000
  }

  /**
   * Watches a transfer that has a slot.
   *
   * @param release gives the slot back
   * @returns the transfer's signal, which is also aborted when it is ended here, and what ends the watch
   */
  watch(
    { signal, slotRequest }: BackendRequest,
    response: ResponseWriter,
    release: () => void,
  ): { readonly signal: AbortSignal; stop(): void } {
    const aborting = new AbortController()
    const paused: Paused = { account: slotRequest.account, abort: () => aborting.abort() }
    const samples = [{ at: performance.now(), bytes: response.progress().bytes }]
    const timer = setInterval(() => {
      const { bytes, waitsForClient } = response.progress()
      const at = performance.now()
      samples.push({ at, bytes })
      if (samples.length <= SAMPLES) return
      const first = samples.shift()
      // Of the time that has passed: timers come late, and then close together.
      const isSlow = first !== undefined && bytes - first.bytes < this.#leastBytesPerMs * (at - first.at)
      // A git that works for long before it writes is not slow in this sense: it needs its slot.
      if (!isSlow || !waitsForClient || this.#counts().waiting === 0) return
      clearInterval(timer)
      release()
      this.#pause(paused)
    }, this.#sampleMs).unref()
    return {
      signal: AbortSignal.any([signal, aborting.signal]),
      stop: () => {
        clearInterval(timer)
        this.#paused.delete(paused)
      },
    }
  }

  #pause(one: Paused): void {
    this.#paused.add(one)
    if (this.#paused.size <= MAX_PAUSED) return
    const all = [...this.#paused]
    const countOf = ({ account }: Paused): number => all.filter((other) => other.account === account).length
    const [oldest] = all.sort((one, other) => countOf(other) - countOf(one))
    if (oldest === undefined) return
    this.#paused.delete(oldest)
    oldest.abort()
  }
}
