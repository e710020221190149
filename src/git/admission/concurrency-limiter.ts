import type { QueueCounts } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** How much runs at once, and how much may wait. */
export type QueueLimits = {
  /** Runs of git at once. */
  readonly total: number
  /** Of them, on one repository. */
  readonly perRepository: number
  /** Of them, for one account: what runs can take hours, so that nobody may have all. */
  readonly perAccount: number
  /** Requests that may wait, of all accounts. Beyond it, whoever has most of them gives a place to who has fewer. */
  readonly waiting: number
}

/** What a request got: its turn, which it must end; or that too many wait; or that its client has left. */
export type Turn = { readonly kind: 'turn'; readonly end: () => void } | { readonly kind: 'crowded' | 'left' }

type Waiting = { readonly repository: RepositoryPath; readonly begin: () => void; readonly refuse: () => void }

/**
 * Lets only so many runs of git go at once, in all and on one repository. The others wait, since git does not try again what is
 * refused; accounts take turns, so that who asks for much waits behind who asks for little.
 */
export class Queue {
  readonly #limits: QueueLimits
  readonly #running = new Counts()
  readonly #accountsRunning = new Counts()
  /** In the order of their turns; whoever got one goes to the end. */
  readonly #accounts = new Map<string, Waiting[]>()
  #total = 0
  #waiting = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** How many run and wait. */
  get counts(): QueueCounts {
    return { running: this.#total, waiting: this.#waiting }
  }

  /**
   * Waits for a turn.
   *
   * @param account whose turn it is to be
   * @param signal aborted when nobody waits for it any more
   */
  async enter(repository: RepositoryPath, account: string, signal: AbortSignal): Promise<Turn> {
    if (signal.aborted) return { kind: 'left' }
    // Those that wait have no room, or they would have begun: nobody is overtaken.
    if (this.#hasRoomFor(repository, account)) return this.#begin(repository, account)
    if (this.#waiting >= this.#limits.waiting && !this.#makePlaceFor(account)) return { kind: 'crowded' }
    return await new Promise((resolve) => {
      const waiting: Waiting = {
        repository,
        begin: () => {
          signal.removeEventListener('abort', left)
          resolve(this.#begin(repository, account))
        },
        refuse: () => {
          signal.removeEventListener('abort', left)
          resolve({ kind: 'crowded' })
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

  /** Takes the place of the last that came of whoever has most waiting, if that is more than the account will have. */
  #makePlaceFor(account: string): boolean {
    const own = (this.#accounts.get(account)?.length ?? 0) + 1
    const [most, list] = [...this.#accounts].sort(([, one], [, other]) => other.length - one.length)[0] ?? []
    const last = list?.at(-1)
    if (most === undefined || list === undefined || last === undefined || list.length <= own) return false
    this.#remove(most, last)
    last.refuse()
    return true
  }

  #begin(repository: RepositoryPath, account: string): Turn {
    this.#total += 1
    this.#running.add(repository, 1)
    this.#accountsRunning.add(account, 1)
    let isOver = false
    const end = (): void => {
      if (isOver) return
      isOver = true
      this.#total -= 1
      this.#running.add(repository, -1)
      this.#accountsRunning.add(account, -1)
      this.#next()
    }
    return { kind: 'turn', end }
  }

  /** Begins what there is room for, one of each account after the other. */
  #next(): void {
    for (let hasBegun = true; hasBegun;) {
      hasBegun = false
      for (const [account, list] of [...this.#accounts]) {
        const first = list.find(({ repository }) => this.#hasRoomFor(repository, account))
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

  #hasRoomFor(repository: RepositoryPath, account: string): boolean {
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

/** How many there are of each. */
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
