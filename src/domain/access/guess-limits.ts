import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { Account } from '../accounts/account.js'
import { networkOf } from './ban.js'

/** Whether a password may be tried. */
export type Guess =
  | { readonly kind: 'throttled'; readonly seconds: number }
  | {
      readonly kind: 'allowed'
      /** The account has no guesses left under any login. The response must be that to a wrong password. */
      readonly isHopeless: boolean
      /** The password was not checked. */
      readonly giveBack: () => Promise<void>
      readonly succeed: () => Promise<void>
    }

// A user who forgot a password needs fewer guesses from one network; a list of passwords needs many more.
const PER_LOGIN_AND_NETWORK = { points: 10, duration: 600 }
// From all networks.
const PER_LOGIN = { points: 100, duration: 3_600 }
const PER_ACCOUNT = { points: 100, duration: 3_600 }
const REMEMBERED_NETWORKS = 10_000

/**
 * Limits guesses at passwords by login and by account. Clients see only the login's limit: if they saw the account's, guesses
 * at a username would tell which email address belongs to the same account. Networks that the account has signed in from
 * are exempt. The counts are kept in memory, so a restart resets them.
 */
export class GuessLimits {
  readonly #perLoginAndNetwork = new RateLimiterMemory(PER_LOGIN_AND_NETWORK)
  readonly #perLogin = new RateLimiterMemory(PER_LOGIN)
  readonly #perAccount = new RateLimiterMemory(PER_ACCOUNT)
  /** Pairs of account and network that have signed in. */
  readonly #familiar = new LRUCache<string, true>({ max: REMEMBERED_NETWORKS })
  readonly #limitsNetworks: boolean

  /** @param limitsNetworks whether guesses at one login from one network are limited; bans may do that already */
  constructor({ limitsNetworks }: { readonly limitsNetworks: boolean }) {
    this.#limitsNetworks = limitsNetworks
  }

  /** Counts a guess before it is checked, so that many at once are counted, too. */
  async take(login: string, account: Pick<Account, 'id'> | undefined, ip: string): Promise<Guess> {
    // A login may be as long as a header.
    const name = hash('sha256', login.toLowerCase(), 'base64url')
    const pair = `${name} ${networkOf(ip)}`
    const known = account === undefined ? undefined : `${account.id} ${networkOf(ip)}`
    const isFamiliar = known !== undefined && this.#familiar.has(known)
    const near = this.#limitsNetworks ? await consume(this.#perLoginAndNetwork, pair) : undefined
    if (near !== undefined) return { kind: 'throttled', seconds: near }
    const far = await consume(this.#perLogin, name)
    if (far !== undefined && !isFamiliar) return { kind: 'throttled', seconds: far }
    const ofAccount = account === undefined ? undefined : await consume(this.#perAccount, String(account.id))
    const giveBackFar = async (): Promise<void> => {
      await this.#perLogin.reward(name)
      if (account !== undefined) await this.#perAccount.reward(String(account.id))
    }
    return {
      kind: 'allowed',
      isHopeless: ofAccount !== undefined && !isFamiliar,
      giveBack: async () => {
        if (this.#limitsNetworks) await this.#perLoginAndNetwork.reward(pair)
        await giveBackFar()
      },
      succeed: async () => {
        await this.#perLoginAndNetwork.delete(pair)
        await giveBackFar()
        if (known !== undefined) this.#familiar.set(known, true)
      },
    }
  }
}

/** @returns the seconds to wait if no guesses are left, or `undefined` */
export async function consume(limiter: RateLimiterMemory, key: string): Promise<number | undefined> {
  try {
    await limiter.consume(key)
    return undefined
  } catch (error) {
    if (error instanceof RateLimiterRes) return Math.ceil(error.msBeforeNext / 1_000)
    throw error
  }
}
