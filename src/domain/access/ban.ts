import { hash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { addressMatcher } from '../../core/address-list.js'
import type { Settings } from '../policies/settings.js'

/** The settings of bans. */
type BanSettings = Pick<
  Settings,
  | 'git_basic_auth_enabled'
  | 'git_basic_auth_maxretry'
  | 'git_basic_auth_findtime'
  | 'git_basic_auth_bantime'
  | 'git_basic_auth_ip_allowlist'
>

/** Counts failures by address. */
export type FailureCounts = {
  get(key: string): Promise<{ readonly consumedPoints: number } | null>
  penalty(key: string): Promise<{ readonly consumedPoints: number }>
  /** Removes failures. */
  reward(key: string, points: number): Promise<unknown>
  block(key: string, seconds: number): Promise<unknown>
  delete(key: string): Promise<unknown>
}

/** Creates a counter that allows `points` failures within `duration` seconds. */
export type CountFailures = (rules: { readonly points: number; readonly duration: number }) => FailureCounts

/**
 * Bans addresses that keep failing to sign in (GitLab's `rack_attack.git_basic_auth`): `maxretry` failures within
 * `findtime` ban the address for `bantime`. A success removes the failures of its own login, or of tokens. Attempts during a
 * ban don't prolong it. Bans are kept in memory, so a restart lifts them.
 */
export class Bans {
  readonly #countFailures: CountFailures
  #ready: Ready | undefined
  /** Attempts in progress, by address. */
  readonly #running = new Map<string, number>()

  /** @param countFailures creates the counter. @default in the memory of this process */
  constructor(countFailures: CountFailures = (rules) => new RateLimiterMemory(rules)) {
    this.#countFailures = countFailures
  }

  /** Whether an address is banned now. */
  async isBanned(ip: string, settings: BanSettings): Promise<boolean> {
    const { limiter, isAllowed } = this.#prepare(settings)
    if (!settings.git_basic_auth_enabled || isAllowed(ip)) return false
    const record = await limiter.get(networkOf(ip))
    return record !== null && record.consumedPoints > settings.git_basic_auth_maxretry
  }

  /**
   * Starts an attempt that takes long, such as checking a password. No more run at once than may fail before a ban; otherwise
   * many would be checked before the first failure is counted.
   *
   * @returns the function that ends the attempt, or `undefined` if there are too many
   */
  async admit(ip: string, settings: BanSettings): Promise<(() => void) | undefined> {
    const { limiter, isAllowed } = this.#prepare(settings)
    if (!settings.git_basic_auth_enabled || isAllowed(ip)) return () => undefined
    const key = networkOf(ip)
    const failed = (await limiter.get(key))?.consumedPoints ?? 0
    const running = this.#running.get(key) ?? 0
    if (failed + running >= settings.git_basic_auth_maxretry) return undefined
    this.#running.set(key, running + 1)
    return () => {
      const left = (this.#running.get(key) ?? 1) - 1
      if (left === 0) this.#running.delete(key)
      else this.#running.set(key, left)
    }
  }

  /**
   * Counts a failed attempt. The one that reaches the limit still gets a 401; the next one is banned.
   *
   * @param login whose password was tried; `undefined` for a token
   */
  async recordFailure(ip: string, settings: BanSettings, login?: string): Promise<void> {
    const { limiter, isAllowed } = this.#prepare(settings)
    if (!settings.git_basic_auth_enabled || isAllowed(ip)) return
    await limiter.penalty(shareOf(ip, login))
    const record = await limiter.penalty(networkOf(ip))
    if (record.consumedPoints === settings.git_basic_auth_maxretry) {
      await limiter.block(networkOf(ip), settings.git_basic_auth_bantime)
    }
  }

  /**
   * Counts a success, which removes the address's failures with the same login. Failures with other logins stay, so that
   * users can't sign in to their own account in order to keep guessing other users' passwords.
   *
   * @param login whose password it was; `undefined` for a token
   */
  async recordSuccess(ip: string, settings: BanSettings, login?: string): Promise<void> {
    const { limiter } = this.#prepare(settings)
    const share = shareOf(ip, login)
    const failed = (await limiter.get(share))?.consumedPoints ?? 0
    if (failed === 0) return
    await limiter.delete(share)
    await limiter.reward(networkOf(ip), failed)
  }

  /** The limiter for these settings. Changing one of them resets the counts. */
  #prepare(settings: BanSettings): Ready {
    if (this.#ready?.source === settings) return this.#ready
    const rules = JSON.stringify([
      settings.git_basic_auth_maxretry,
      settings.git_basic_auth_findtime,
      settings.git_basic_auth_bantime,
      settings.git_basic_auth_ip_allowlist,
    ])
    this.#ready =
      this.#ready?.rules === rules
        ? { ...this.#ready, source: settings }
        : {
            source: settings,
            rules,
            limiter: this.#countFailures({
              points: settings.git_basic_auth_maxretry,
              duration: settings.git_basic_auth_findtime,
            }),
            isAllowed: addressMatcher(settings.git_basic_auth_ip_allowlist),
          }
    return this.#ready
  }
}

type Ready = {
  /** The last settings object: many requests share it. */
  readonly source: BanSettings
  readonly rules: string
  readonly limiter: FailureCounts
  readonly isAllowed: (ip: string) => boolean
}

/** One login's part of an address's failures. */
function shareOf(ip: string, login: string | undefined): string {
  return `${networkOf(ip)} ${login === undefined ? 'tokens' : hash('sha256', login.toLowerCase(), 'base64url')}`
}

/** The network that guesses are counted by. For IPv6 that is the /64, because one subscriber has all its addresses. */
export function networkOf(ip: string): string {
  if (!isIPv6(ip)) return ip
  const [head = '', tail = ''] = ip.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros = ip.includes('::') ? 8 - before.length - after.length : 0
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
  return groups.slice(0, 4).join(':')
}
