import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Coalesces calls with the same key. While a function runs, later callers wait and share the next run, so that none gets a result
 * older than its call: a client may know of a change that the present run has missed.
 */
export class RunCoalescer<Key, Value> {
  readonly #running = new Map<Key, Promise<unknown>>()
  readonly #next = new Map<Key, Promise<Value>>()

  /** The result of the next run for this key. Of the callers that share it, the first one's function runs. */
  async run(key: Key, run: () => Promise<Value>): Promise<Value> {
    const waiting = this.#next.get(key)
    if (waiting !== undefined) return await waiting
    const next = this.#start(key, run)
    this.#next.set(key, next)
    return await next
  }

  async #start(key: Key, run: () => Promise<Value>): Promise<Value> {
    // Never two at once for one key. Requests that arrived with this one are still being read, so it waits for setImmediate.
    await (this.#running.get(key) ?? nextTurn())
    this.#next.delete(key)
    const result = run()
    const ended = result.then(
      () => undefined,
      () => undefined,
    )
    this.#running.set(key, ended)
    try {
      return await result
    } finally {
      if (this.#running.get(key) === ended) this.#running.delete(key)
    }
  }
}
