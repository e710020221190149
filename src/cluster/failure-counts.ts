import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Count, CountRules } from './messages.js'

// Beyond this many counts, those that have expired are dropped.
const PRUNE_THRESHOLD = 10_000

/** Failed sign-ins, which the primary counts for all workers. */
export class SharedCounts {
  readonly #limiters = new Map<string, RateLimiterMemory>()
  readonly #current = new CountTable()
  readonly #send: (count: Count) => void

  /** @param send sends a changed count to all workers */
  constructor(send: (count: Count) => void) {
    this.#send = send
  }

  /** The counts that a new worker needs. */
  get all(): readonly Count[] {
    return this.#current.all
  }

  /** Counts a failure. @param block bans for that many seconds instead */
  async add(rules: CountRules, key: string, block: number | undefined): Promise<Count> {
    const limiter = this.#limiterFor(rules)
    const { consumedPoints, msBeforeNext } =
      block === undefined ? await limiter.penalty(key) : await limiter.block(key, block)
    return this.#publish({ rules, key, points: consumedPoints, until: Date.now() + msBeforeNext })
  }

  /** Takes failures of an address back. @param points how many; all if `undefined` */
  async clear(rules: CountRules, key: string, points: number | undefined): Promise<void> {
    const limiter = this.#limiterFor(rules)
    if (points === undefined) {
      await limiter.delete(key)
      this.#publish({ rules, key, points: 0, until: 0 })
      return
    }
    const { consumedPoints, msBeforeNext } = await limiter.reward(key, points)
    this.#publish({ rules, key, points: Math.max(0, consumedPoints), until: Date.now() + msBeforeNext })
  }

  #publish(count: Count): Count {
    this.#current.set(count)
    this.#send(count)
    return count
  }

  #limiterFor(rules: CountRules): RateLimiterMemory {
    const name = JSON.stringify(rules)
    const limiter = this.#limiters.get(name) ?? new RateLimiterMemory(rules)
    this.#limiters.set(name, limiter)
    return limiter
  }
}

/** The counts that have not expired, by address. */
export class CountTable {
  readonly #counts = new Map<string, Count>()

  get all(): readonly Count[] {
    const now = Date.now()
    return [...this.#counts.values()].filter(({ until }) => until > now)
  }

  get(rules: CountRules, key: string): Count | undefined {
    const found = this.#counts.get(nameOf(rules, key))
    return found === undefined || found.until <= Date.now() ? undefined : found
  }

  set(count: Count): void {
    if (count.points === 0) this.#counts.delete(nameOf(count.rules, count.key))
    else this.#counts.set(nameOf(count.rules, count.key), count)
    if (this.#counts.size <= PRUNE_THRESHOLD) return
    const now = Date.now()
    for (const [name, { until }] of this.#counts) if (until <= now) this.#counts.delete(name)
  }
}

function nameOf({ points, duration }: CountRules, key: string): string {
  return `${points} ${duration} ${key}`
}
