import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Count, CountRules } from './messages.js'

// Of addresses whose counts are over, no more are remembered.
const MOST = 10_000

/** Failures to sign in, as the first process counts them for all workers. */
export class CommonCounts {
  readonly #limiters = new Map<string, RateLimiterMemory>()
  readonly #current = new CountTable()
  readonly #send: (count: Count) => void

  /** @param send sends a changed count to all workers */
  constructor(send: (count: Count) => void) {
    this.#send = send
  }

  /** What a new worker has to know. */
  get all(): readonly Count[] {
    return this.#current.all
  }

  /** Counts a failure, or bans for some seconds. */
  async add(rules: CountRules, key: string, block: number | undefined): Promise<Count> {
    const limiter = this.#limiterFor(rules)
    const { consumedPoints, msBeforeNext } =
      block === undefined ? await limiter.penalty(key) : await limiter.block(key, block)
    return this.#note({ rules, key, points: consumedPoints, until: Date.now() + msBeforeNext })
  }

  /** Forgets the failures of an address. @param points how many of them; `undefined`: all */
  async clear(rules: CountRules, key: string, points: number | undefined): Promise<void> {
    const limiter = this.#limiterFor(rules)
    if (points === undefined) {
      await limiter.delete(key)
      this.#note({ rules, key, points: 0, until: 0 })
      return
    }
    const { consumedPoints, msBeforeNext } = await limiter.reward(key, points)
    this.#note({ rules, key, points: Math.max(0, consumedPoints), until: Date.now() + msBeforeNext })
  }

  #note(count: Count): Count {
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

/** Counts by their addresses, as far as they have not ended. */
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
    if (this.#counts.size <= MOST) return
    const now = Date.now()
    for (const [name, { until }] of this.#counts) if (until <= now) this.#counts.delete(name)
  }
}

function nameOf({ points, duration }: CountRules, key: string): string {
  return `${points} ${duration} ${key}`
}
