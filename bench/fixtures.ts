import type { Owner } from '../test/backends/backend.js'

/** What a run has started and must end: processes, folders, control groups. */
export class Fixtures implements Owner {
  readonly #ends: (() => unknown)[] = []
  #ending: Promise<void> | undefined

  teardown(end: () => unknown): void {
    this.#ends.push(end)
  }

  /** Ends everything, what came last first. What can't be ended is said, and keeps nothing else from its end. */
  end(complain: (error: unknown) => void): Promise<void> {
    this.#ending ??= this.#endAll(complain)
    return this.#ending
  }

  async #endAll(complain: (error: unknown) => void): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      try {
        await end()
      } catch (error) {
        complain(error)
      }
    }
  }
}
