/** A request whose pack is in flight. It may take hours. */
export type ActiveTransfer = {
  /** Decides it again. @returns why it is not allowed any more, or `undefined` */
  readonly reauthorize: () => Promise<string | undefined>
  /** Ends it at once. */
  readonly abort: (reason: string) => void
}

/**
 * The transfers in progress. While there are any, the security epoch is watched: when it moves, each is authorised again and
 * aborted if it lost its right.
 */
export class ActiveTransfers {
  readonly #readEpoch: () => Promise<number>
  readonly #onError: (error: unknown) => void
  readonly #running = new Map<ActiveTransfer, { epoch: number }>()
  readonly #pollMs: number
  #timer: NodeJS.Timeout | undefined

  /**
   * @param readEpoch reads the security epoch
   * @param onError called when a check fails; the next one follows all the same
   * @param pollMs milliseconds between two checks
   */
  constructor(readEpoch: () => Promise<number>, onError: (error: unknown) => void, pollMs: number) {
    this.#pollMs = pollMs
    this.#readEpoch = readEpoch
    this.#onError = onError
  }

  /**
   * Watches a transfer.
   *
   * @param epoch the security epoch that it was decided in
   * @returns what ends the watch
   */
  watch(transfer: ActiveTransfer, epoch: number): () => void {
    this.#running.set(transfer, { epoch })
    this.#timer ??= setInterval(() => void this.#check(), this.#pollMs).unref()
    return () => {
      this.#running.delete(transfer)
      if (this.#running.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  async #check(): Promise<void> {
    try {
      const epoch = await this.#readEpoch()
      const outdated = [...this.#running].filter(([, decided]) => decided.epoch !== epoch)
      await Promise.all(
        outdated.map(async ([transfer, decided]) => {
          const reason = await transfer.reauthorize()
          decided.epoch = epoch
          if (reason !== undefined && this.#running.has(transfer)) transfer.abort(reason)
        }),
      )
    } catch (error) {
      this.#onError(error)
    }
  }
}
