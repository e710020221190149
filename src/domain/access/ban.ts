import { hash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { addressMatcher } from '../../core/address-list.js'
import type { Settings } from '../policies/settings.js'

/** What a ban depends on. */
type BanSettings = Pick<
  Settings,
  | 'git_basic_auth_enabled'
  | 'git_basic_auth_maxretry'
  | 'git_basic_auth_findtime'
  | 'git_basic_auth_bantime'
  | 'git_basic_auth_ip_allowlist'
>

/** Where failures are counted, by address. */
export type FailureCounts = {
  get(key: string): Promise<{ readonly consumedPoints: number } | null>
  penalty(key: string): Promise<{ readonly consumedPoints: number }>
  /** Takes failures back. */
  reward(key: string, points: number): Promise<unknown>
  block(key: string, seconds: number): Promise<unknown>
  delete(key: string): Promise<unknown>
}

/** Makes such a place. `points` failures are allowed within `duration` seconds. */
export type CountFailures = (rules: { readonly points: number; readonly duration: number }) => FailureCounts

/**
 * Bans addresses that keep failing to sign in (GitLab's `rack_attack.git_basic_auth`): `maxretry` failures within
 * `findtime` ban for `bantime`; a success takes back the failures of its own login, or of tokens; attempts during a ban don't prolong it. Kept in memory: a
 * restart forgives.
 */
export class Bans {
  readonly #countFailures: CountFailures
  #ready: Ready | undefined
  /** Attempts that are being checked, by address. */
  readonly #running = new Map<string, number>()

  /** @param countFailures where they are counted. @default in memory, of this process alone */
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
   * Lets an attempt be checked that takes long, such as a password: no more at once than may fail until a ban, or many at once
   * would all be checked before the first is counted.
   *
   * @returns what ends the attempt, or `undefined` when there are too many
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
   * Notes a failed attempt. The one that reaches the limit is still answered 401; the next meets the ban.
   *
   * @param login that a password was tried for; `undefined`: a token
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
   * Notes a success, which takes back the address's failures with the same login: somebody with an account of their own
   * must not guess at others' for ever.
   *
   * @param login whose password it was; `undefined`: a token
   */
  async recordSuccess(ip: string, settings: BanSettings, login?: string): Promise<void> {
    const { limiter } = this.#prepare(settings)
    const share = shareOf(ip, login)
    const failed = (await limiter.get(share))?.consumedPoints ?? 0
    if (failed === 0) return
    await limiter.delete(share)
    await limiter.reward(networkOf(ip), failed)
  }

  /** The limiter for these settings. Changing one of them starts the counts anew. */
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
  /** The settings object last seen: the same one for many requests. */
  readonly source: BanSettings
  readonly rules: string
  readonly limiter: FailureCounts
  readonly isAllowed: (ip: string) => boolean
}

/** The part of an address's failures that one login has. */
function shareOf(ip: string, login: string | undefined): string {
  return `${networkOf(ip)} ${login === undefined ? 'tokens' : hash('sha256', login.toLowerCase(), 'base64url')}`
}

/** What guesses are counted by: IPv6 addresses by their /64 network, which one subscriber is given and could walk through. */
export function networkOf(ip: string): string {
  if (!isIPv6(ip)) return ip
  const [head = '', tail = ''] = ip.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros = ip.includes('::') ? 8 - before.length - after.length : 0
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
  return groups.slice(0, 4).join(':')
}
