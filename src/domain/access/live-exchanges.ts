/** An exchange that is running: a transfer that may last for hours. */
export type LiveExchange = {
  /** Whether it would still be allowed. @returns why not, or `undefined` */
  readonly recheck: () => Promise<string | undefined>
  /** Ends it at once. */
  readonly cut: (reason: string) => void
}

/**
 * The exchanges that are running, so that what is revoked ends those that it let in: the security epoch is watched while
 * there are any, and when it has moved each is decided anew.
 */
export class LiveExchanges {
  readonly #readEpoch: () => Promise<number>
  readonly #onError: (error: unknown) => void
  readonly #running = new Map<LiveExchange, { epoch: number }>()
  readonly #pollMs: number
  #timer: NodeJS.Timeout | undefined

  /**
   * @param readEpoch the security epoch
   * @param onError is told when a look failed; the next one comes all the same
   * @param pollMs milliseconds between two looks
   */
  constructor(readEpoch: () => Promise<number>, onError: (error: unknown) => void, pollMs: number) {
    this.#pollMs = pollMs
    this.#readEpoch = readEpoch
    this.#onError = onError
  }

  /**
   * Watches over an exchange.
   *
   * @param epoch the one that it was decided in
   * @returns what ends the watch
   */
  watch(exchange: LiveExchange, epoch: number): () => void {
    this.#running.set(exchange, { epoch })
    this.#timer ??= setInterval(() => void this.#look(), this.#pollMs).unref()
    return () => {
      this.#running.delete(exchange)
      if (this.#running.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  async #look(): Promise<void> {
    try {
      const epoch = await this.#readEpoch()
      const outdated = [...this.#running].filter(([, decided]) => decided.epoch !== epoch)
      await Promise.all(
        outdated.map(async ([exchange, decided]) => {
          const reason = await exchange.recheck()
          decided.epoch = epoch
          if (reason !== undefined && this.#running.has(exchange)) exchange.cut(reason)
        }),
      )
    } catch (error) {
      this.#onError(error)
    }
  }
}
