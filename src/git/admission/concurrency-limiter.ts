import type { QueueCounts } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

export type ConcurrencyLimits = {
  /** Git processes at once. */
  readonly total: number
  /** Of them, on one repository. */
  readonly perRepository: number
  /** Of them, for one account. A transfer can take hours, so no account may use all slots. */
  readonly perAccount: number
  /** Queued requests of all accounts. When the queue is full, the account with the most loses a place to one with fewer. */
  readonly waiting: number
}

/** A slot, to be released; or the reason why there is none: the queue is full, or the client left. */
export type SlotResult =
  { readonly kind: 'slot'; readonly release: () => void } | { readonly kind: 'overloaded' | 'left' }

type Waiting = { readonly repository: RepositoryPath; readonly begin: () => void; readonly refuse: () => void }

/**
 * Limits concurrent git processes: in all, on one repository, and for one account. Further requests wait in a queue, since git doesn't
 * retry refused requests. Slots go to the queued accounts in rotation, so an account with few requests doesn't wait for one with many.
 */
export class ConcurrencyLimiter {
  readonly #limits: ConcurrencyLimits
  readonly #running = new Counts()
  readonly #accountsRunning = new Counts()
  /** Queued requests by account. The first account is the next to get a slot, and then moves to the end. */
  readonly #accounts = new Map<string, Waiting[]>()
  #total = 0
  #waiting = 0

  constructor(limits: ConcurrencyLimits) {
    this.#limits = limits
  }

  /** Requests that run and wait. */
  get counts(): QueueCounts {
    return { running: this.#total, waiting: this.#waiting }
  }

  /**
   * Waits for a slot.
   *
   * @param account that the slot counts for
   * @param signal aborted when the client has left
   */
  async acquire(repository: RepositoryPath, account: string, signal: AbortSignal): Promise<SlotResult> {
    if (signal.aborted) return { kind: 'left' }
    // Queued requests have no free slot, or they would have got it: none is overtaken.
    if (this.#hasSlotFor(repository, account)) return this.#grant(repository, account)
    if (this.#waiting >= this.#limits.waiting && !this.#makeRoomFor(account)) return { kind: 'overloaded' }
    return await new Promise((resolve) => {
      const waiting: Waiting = {
        repository,
        begin: () => {
          signal.removeEventListener('abort', left)
          resolve(this.#grant(repository, account))
        },
        refuse: () => {
          signal.removeEventListener('abort', left)
          resolve({ kind: 'overloaded' })
        },
      }
      const left = (): void => {
        this.#remove(account, waiting)
        resolve({ kind: 'left' })
      }
      signal.addEventListener('abort', left, { once: true })
      this.#waiting += 1
      this.#accounts.set(account, [...(this.#accounts.get(account) ?? []), waiting])
    })
  }

  /** Refuses the latest request of the account with the most queued, if that has more than this account will have. */
  #makeRoomFor(account: string): boolean {
    const own = (this.#accounts.get(account)?.length ?? 0) + 1
    const [most, list] = [...this.#accounts].sort(([, one], [, other]) => other.length - one.length)[0] ?? []
    const last = list?.at(-1)
    if (most === undefined || list === undefined || last === undefined || list.length <= own) return false
    this.#remove(most, last)
    last.refuse()
    return true
  }

  #grant(repository: RepositoryPath, account: string): SlotResult {
    this.#total += 1
    this.#running.add(repository, 1)
    this.#accountsRunning.add(account, 1)
    let isReleased = false
    const release = (): void => {
      if (isReleased) return
      isReleased = true
      this.#total -= 1
      this.#running.add(repository, -1)
      this.#accountsRunning.add(account, -1)
      this.#grantNext()
    }
    return { kind: 'slot', release }
  }

  /** Grants free slots, to one request of each account in rotation. */
  #grantNext(): void {
    for (let hasBegun = true; hasBegun;) {
      hasBegun = false
      for (const [account, list] of [...this.#accounts]) {
        const first = list.find(({ repository }) => this.#hasSlotFor(repository, account))
        if (first === undefined) continue
        hasBegun = true
        this.#remove(account, first)
        const others = this.#accounts.get(account)
        if (others !== undefined) {
          this.#accounts.delete(account)
          this.#accounts.set(account, others)
        }
        first.begin()
      }
    }
  }

  #hasSlotFor(repository: RepositoryPath, account: string): boolean {
    const { total, perRepository, perAccount } = this.#limits
    return (
      this.#total < total &&
      this.#running.of(repository) < perRepository &&
      this.#accountsRunning.of(account) < perAccount
    )
  }

  #remove(account: string, waiting: Waiting): void {
    const list = this.#accounts.get(account) ?? []
    const others = list.filter((one) => one !== waiting)
    if (others.length < list.length) this.#waiting -= 1
    if (others.length === 0) this.#accounts.delete(account)
    else this.#accounts.set(account, others)
  }
}

class Counts {
  readonly #counts = new Map<string, number>()

  of(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  add(key: string, more: number): void {
    const count = this.of(key) + more
    if (count === 0) this.#counts.delete(key)
    else this.#counts.set(key, count)
  }
}
