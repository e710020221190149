import { LRUCache } from 'lru-cache'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { Account } from '../accounts/account.js'
import type { PasswordVerdict, Passwords } from '../accounts/password.js'
import type { SecondFactorVerdict, TwoFactorStore } from '../accounts/two-factor.js'
import { verifySecondFactor } from '../accounts/two-factor.js'
import type { Clock } from '../clock.js'
import type { Secret } from '../secret.js'
import { DEFAULT_PREFIX, secretShape } from '../tokens/secret.js'
import { Bans, networkOf } from './ban.js'
import type { AccessMemory } from './memory.js'

/** What came of a name and a password. */
export type SignInVerdict =
  | { readonly kind: 'right'; readonly account: Account }
  /** `account`: whose name was given, for the trail alone. */
  | { readonly kind: 'wrong'; readonly account: Account | undefined }
  /** The password was right. */
  | { readonly kind: 'blocked'; readonly account: Account }
  /** A token stands where the password belongs. */
  | { readonly kind: 'token-given' }
  | { readonly kind: 'throttled'; readonly account: Account | undefined; readonly seconds: number }
  | { readonly kind: 'busy' }

/** What signing in is made of. */
export type SignInOptions = {
  readonly memory: AccessMemory
  readonly passwords: Passwords
  readonly clock: Clock
}

// Guesses at one name from one network: a person who has forgotten needs fewer, and a list of passwords many more.
const PER_NAME_AND_NETWORK = { points: 10, duration: 600 }
// Guesses at one name from everywhere.
const PER_NAME = { points: 100, duration: 3_600 }
// Three codes of a million are right at any time (one step of drift either way): 40 guesses an hour find one in a year.
const CODES = { points: 10, duration: 900 }
const REMEMBERED_NETWORKS = 10_000

/**
 * Signing in with a browser. Guessing is slowed by address (like Git's bans, but counted apart), by name and address, and by
 * name. None of it touches Git or the API: who guesses at somebody's password can't lock them out of there; and from an
 * address that an account has signed in from before, it still can. Kept in memory: a restart forgives.
 */
export class SignIn {
  readonly #options: SignInOptions
  readonly #bans = new Bans()
  readonly #perNameAndNetwork = new RateLimiterMemory(PER_NAME_AND_NETWORK)
  readonly #perName = new RateLimiterMemory(PER_NAME)
  readonly #codes = new RateLimiterMemory(CODES)
  /** Names and addresses that have signed in. */
  readonly #familiar = new LRUCache<string, true>({ max: REMEMBERED_NETWORKS })

  constructor(options: SignInOptions) {
    this.#options = options
  }

  /** Checks a username or e-mail address with a password. @param ip the client's address */
  async checkPassword(login: string, password: Secret, ip: string): Promise<SignInVerdict> {
    const { memory } = this.#options
    const snapshot = await memory.current()
    const settings = await snapshot.settings()
    // A token in the wrong field must reach neither bcrypt nor the count of guesses.
    if (secretShape(password, [settings.personal_access_token_prefix, DEFAULT_PREFIX]) !== 'other')
      return { kind: 'token-given' }
    const account = await snapshot.findAccount(login)
    if (await this.#bans.isBanned(ip, settings))
      return { kind: 'throttled', account, seconds: settings.git_basic_auth_bantime }
    const name = account === undefined ? `name ${login.toLowerCase()}` : `account ${account.id}`
    const throttled = await this.#take(name, ip)
    if (throttled !== undefined) return { kind: 'throttled', account, seconds: throttled }
    const leave = await this.#bans.admit(ip, settings)
    if (leave === undefined) {
      await this.#giveBack(name, ip)
      return { kind: 'busy' }
    }
    try {
      const verdict = await this.#options.passwords.check(account, password)
      if (verdict === 'busy') {
        await this.#giveBack(name, ip)
        return { kind: 'busy' }
      }
      if (verdict === 'wrong' || account === undefined) {
        await this.#bans.recordFailure(ip, settings)
        return { kind: 'wrong', account }
      }
      await this.#giveBack(name, ip)
      await this.#bans.recordSuccess(ip, settings)
      this.#familiar.set(pairOf(name, ip), true)
      return { kind: account.state === 'blocked' ? 'blocked' : 'right', account }
    } finally {
      leave()
    }
  }

  /** Asks somebody who is signed in for their password once more. */
  async confirmPassword(account: Account, password: Secret, ip: string): Promise<PasswordVerdict | 'throttled'> {
    const name = `account ${account.id}`
    if ((await this.#take(name, ip)) !== undefined) return 'throttled'
    const verdict = await this.#options.passwords.check(account, password)
    if (verdict !== 'wrong') await this.#giveBack(name, ip)
    return verdict
  }

  /** Checks a second factor: a code of the app, or a recovery code, which is then used up. */
  async checkCode(store: TwoFactorStore, account: Account, code: Secret): Promise<SecondFactorVerdict | 'throttled'> {
    const key = String(account.id)
    if ((await consume(this.#codes, key)) !== undefined) return 'throttled'
    const verdict = await verifySecondFactor(store, this.#options.passwords, account, code, this.#options.clock())
    if (verdict !== 'wrong') await this.#codes.delete(key)
    return verdict
  }

  /** Counts an attempt before it is checked, so that many at once are counted, too. @returns seconds to wait, if any */
  async #take(name: string, ip: string): Promise<number | undefined> {
    const pair = pairOf(name, ip)
    const near = await consume(this.#perNameAndNetwork, pair)
    if (near !== undefined) return near
    const far = await consume(this.#perName, name)
    return this.#familiar.has(pair) ? undefined : far
  }

  async #giveBack(name: string, ip: string): Promise<void> {
    await this.#perNameAndNetwork.delete(pairOf(name, ip))
    await this.#perName.reward(name)
  }
}

function pairOf(name: string, ip: string): string {
  return `${name} from ${networkOf(ip)}`
}

async function consume(limiter: RateLimiterMemory, key: string): Promise<number | undefined> {
  try {
    await limiter.consume(key)
    return undefined
  } catch (error) {
    if (error instanceof RateLimiterRes) return Math.ceil(error.msBeforeNext / 1_000)
    throw error
  }
}
