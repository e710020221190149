import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * One run for all who ask at once. Who asks is given only a run that started after they asked: an answer that was being
 * looked up before a request arrived may be older than what the client knows to be done.
 */
export class SharedRuns<Key, Value> {
  readonly #running = new Map<Key, Promise<unknown>>()
  readonly #next = new Map<Key, Promise<Value>>()

  /** The result of the next run for this key; of those who wait for it, the first one's `run` is taken. */
  async ask(key: Key, run: () => Promise<Value>): Promise<Value> {
    const waiting = this.#next.get(key)
    if (waiting !== undefined) return await waiting
    const next = this.#start(key, run)
    this.#next.set(key, next)
    return await next
  }

  async #start(key: Key, run: () => Promise<Value>): Promise<Value> {
    // Never two at once for one key. Requests that came with this one are still being read, so it waits a turn at least.
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
