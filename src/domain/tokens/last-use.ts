import { LRUCache } from 'lru-cache'
import { DAY, MINUTE } from '../../core/clock.js'
import type { PersonalAccessToken } from './token.js'
import type { TokenStore, TokenUse } from './store.js'

/** How many addresses are kept with a token. */
const MAX_KEPT_IPS = 5
/** A use from another address is written at once, but so often at most; GitLab writes one a minute. */
const MAX_ADDRESSES_A_MINUTE = 10

const MAX_RETRY_DELAY_MS = 30_000
const REMEMBERED_TOKENS = 10_000

type Known = {
  readonly at: number
  readonly ips: readonly string[]
  /** When the minute began in which `written` uses were written. */
  readonly since: number
  readonly written: number
}

/**
 * Notes that tokens are used, without a write on the way of a request: what is worth keeping goes to the store a moment
 * later. `last_used_at` moves at most once in 24 hours; an address is written when it is new to the token. Of a token that is
 * used from many addresses in turn, ten uses a minute are written; the other addresses are, when they are used again later.
 */
export class LastUse {
  readonly #flushMs: number
  readonly #store: Pick<TokenStore, 'recordUses'>
  readonly #onError: (error: unknown) => void
  /** What the store knows by now, or will with the next flush. */
  readonly #known = new LRUCache<number, Known>({ max: REMEMBERED_TOKENS })
  #pending: TokenUse[] = []
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #pause: number

  /**
   * @param onError is told when a write failed; the uses are kept for the next one
   * @param flushMs milliseconds until what waits is written
   */
  constructor(store: Pick<TokenStore, 'recordUses'>, onError: (error: unknown) => void, flushMs: number) {
    this.#flushMs = flushMs
    this.#pause = flushMs
    this.#store = store
    this.#onError = onError
  }

  /** Notes a use. Costs a look into a map unless there is something new to write. */
  record(token: PersonalAccessToken, ip: string, now: Date): void {
    const known = this.#known.get(token.id) ?? knownOf(token)
    const moves = now.getTime() - known.at >= DAY
    const isSameMinute = Math.abs(now.getTime() - known.since) < MINUTE
    const written = isSameMinute ? known.written : 0
    if (!moves && (known.ips.includes(ip) || written >= MAX_ADDRESSES_A_MINUTE)) return
    this.#known.set(token.id, {
      at: moves ? now.getTime() : known.at,
      ips: withIp(known.ips, ip),
      since: isSameMinute ? known.since : now.getTime(),
      written: written + 1,
    })
    this.#pending.push({ tokenId: token.id, at: now, ip })
    this.#schedule()
  }

  /** Writes what is pending, after what is being written. Called at the end, too, so that a clean stop loses nothing. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const uses = this.#pending
    if (uses.length === 0) return
    this.#pending = []
    try {
      await this.#store.recordUses(uses, withIp)
      this.#pause = this.#flushMs
    } catch (error) {
      this.#pending = [...uses, ...this.#pending].slice(-REMEMBERED_TOKENS)
      this.#pause = Math.min(this.#pause * 2, MAX_RETRY_DELAY_MS)
      this.#schedule()
      this.#onError(error)
    }
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.flush(), this.#pause).unref()
  }
}

function knownOf({ lastUsedAt, lastUsedIps }: PersonalAccessToken): Known {
  return { at: lastUsedAt?.getTime() ?? 0, ips: lastUsedIps, since: 0, written: 0 }
}

/** The addresses after one more was seen: newest first, each once, five at most. */
function withIp(ips: readonly string[], ip: string): string[] {
  return [ip, ...ips.filter((known) => known !== ip)].slice(0, MAX_KEPT_IPS)
}
