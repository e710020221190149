import { LRUCache } from 'lru-cache'
import { DAY, MINUTE } from '../../core/clock.js'
import type { PersonalAccessToken } from './token.js'
import type { TokenStore, TokenUse } from './store.js'

/** Addresses kept for each token. */
const MAX_KEPT_IPS = 5
/** A use from a new address is written immediately, but at most this often; GitLab writes one a minute. */
const MAX_ADDRESSES_A_MINUTE = 10

const MAX_RETRY_DELAY_MS = 30_000
const REMEMBERED_TOKENS = 10_000

type Known = {
  readonly at: number
  readonly ips: readonly string[]
  /** Start of the minute in which `written` uses were written. */
  readonly since: number
  readonly written: number
}

/**
 * Records the uses of tokens. Writes are batched and happen shortly after the request. `last_used_at` moves at most once in 24
 * hours; an address is written when it is new for the token. If a token is used from many addresses in turn, ten uses a
 * minute are written; the other addresses follow when they are used again later.
 */
export class LastUse {
  readonly #flushMs: number
  readonly #store: Pick<TokenStore, 'recordUses'>
  readonly #onError: (error: unknown) => void
  /** What the store knows now, or after the next flush. */
  readonly #known = new LRUCache<number, Known>({ max: REMEMBERED_TOKENS })
  #pending: TokenUse[] = []
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #pause: number

  /**
   * @param onError called when a write failed; the uses are kept for the next one
   * @param flushMs milliseconds until pending uses are written
   */
  constructor(store: Pick<TokenStore, 'recordUses'>, onError: (error: unknown) => void, flushMs: number) {
    this.#flushMs = flushMs
    this.#pause = flushMs
    this.#store = store
    this.#onError = onError
  }

  /** Records a use. This is one lookup in a map, unless there is something new to write. */
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

  /** Writes pending uses, after any write in progress. Also called on shutdown, so that a clean stop loses nothing. */
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

/** The addresses with a new one added: newest first, each once, at most five. */
function withIp(ips: readonly string[], ip: string): string[] {
  return [ip, ...ips.filter((known) => known !== ip)].slice(0, MAX_KEPT_IPS)
}
