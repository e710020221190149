import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Account } from '../accounts/account.js'
import type { PasswordVerdict, Passwords } from '../accounts/password.js'
import type { SecondFactorVerdict, TwoFactorStore } from '../accounts/two-factor.js'
import { verifySecondFactor } from '../accounts/two-factor.js'
import type { AuditContext } from '../audit/event.js'
import type { Clock } from '../../core/clock.js'
import type { Secret } from '../../core/secret.js'
import { DEFAULT_PREFIX, secretShape } from '../tokens/token-secret.js'
import { Bans } from './ban.js'
import { consume, GuessLimits } from './guess-limits.js'
import type { AccessMemory } from './memory.js'

/** The result of checking a login and a password. */
export type SignInVerdict =
  | { readonly kind: 'right'; readonly account: Account }
  /** `account`: the account of that name, only for the audit log. */
  | { readonly kind: 'wrong'; readonly account: Account | undefined }
  /** The password was correct. */
  | { readonly kind: 'blocked'; readonly account: Account }
  /** A token was entered as the password. */
  | { readonly kind: 'token-given' }
  | { readonly kind: 'throttled'; readonly account: Account | undefined; readonly seconds: number }
  | { readonly kind: 'busy' }

/** What {@link SignIn} depends on. */
export type SignInOptions = {
  readonly memory: AccessMemory
  readonly passwords: Passwords
  readonly clock: Clock
}

// Three of a million codes are valid at any time (one step of drift each way), so 40 guesses an hour find one in a year.
const CODES = { points: 10, duration: 900 }

/**
 * Signs users in with a browser. It limits guesses by address (like Git's bans, but counted separately) and by
 * {@link GuessLimits}. The limits don't affect Git or the API, so an attacker can't lock a user out of those. They are kept in
 * memory, so a restart resets them.
 */
export class SignIn {
  readonly #options: SignInOptions
  readonly #bans = new Bans()
  readonly #guesses = new GuessLimits({ limitsNetworks: true })
  readonly #codes = new RateLimiterMemory(CODES)

  constructor(options: SignInOptions) {
    this.#options = options
  }

  /** Checks a username or email address with a password. @param ip the client's address */
  async checkPassword(login: string, password: Secret, ip: string): Promise<SignInVerdict> {
    const { memory } = this.#options
    const snapshot = await memory.current()
    const settings = await snapshot.settings()
    // A token in the wrong field isn't checked with bcrypt, and isn't counted as a guess.
    if (secretShape(password, [settings.personal_access_token_prefix, DEFAULT_PREFIX]) !== 'other')
      return { kind: 'token-given' }
    const account = await snapshot.findAccount(login)
    if (await this.#bans.isBanned(ip, settings))
      return { kind: 'throttled', account, seconds: settings.git_basic_auth_bantime }
    const guess = await this.#guesses.take(login, account, ip)
    if (guess.kind === 'throttled') return { kind: 'throttled', account, seconds: guess.seconds }
    const leave = await this.#bans.admit(ip, settings)
    if (leave === undefined) {
      await guess.giveBack()
      return { kind: 'busy' }
    }
    try {
      const verdict = await this.#options.passwords.check(guess.isHopeless ? undefined : account, password)
      if (verdict === 'busy') {
        await guess.giveBack()
        return { kind: 'busy' }
      }
      if (verdict === 'wrong' || account === undefined) {
        await this.#bans.recordFailure(ip, settings, login)
        return { kind: 'wrong', account }
      }
      await guess.succeed()
      await this.#bans.recordSuccess(ip, settings, login)
      return { kind: account.state === 'blocked' ? 'blocked' : 'right', account }
    } finally {
      leave()
    }
  }

  /** Checks the password of a user who is already signed in. */
  async confirmPassword(account: Account, password: Secret, ip: string): Promise<PasswordVerdict | 'throttled'> {
    // No login contains a space.
    const guess = await this.#guesses.take(`account ${account.id}`, account, ip)
    if (guess.kind === 'throttled' || guess.isHopeless) return 'throttled'
    const verdict = await this.#options.passwords.check(account, password)
    if (verdict === 'busy') await guess.giveBack()
    if (verdict === 'right') await guess.succeed()
    return verdict
  }

  /** Checks a second factor: a code from the app, or a recovery code, which can be used once. */
  async checkCode(
    store: TwoFactorStore,
    context: AuditContext,
    account: Account,
    code: Secret,
  ): Promise<SecondFactorVerdict | 'throttled'> {
    const key = String(account.id)
    if ((await consume(this.#codes, key)) !== undefined) return 'throttled'
    const verdict = await verifySecondFactor(
      store,
      context,
      this.#options.passwords,
      account,
      code,
      this.#options.clock(),
    )
    if (verdict !== 'wrong') await this.#codes.delete(key)
    return verdict
  }
}
