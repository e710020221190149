import { DAY } from '../../core/clock.js'
import { scopesAllow } from '../tokens/scope.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import { tokenState } from '../tokens/token.js'

/** How far back a token's use counts. */
export const ADVICE_DAYS = 90

/** What a token can access, and what it was used for. */
export type Observed = {
  /** How many repositories it can access; `undefined` if the list of repositories is unknown. */
  readonly accessible: { readonly read: number; readonly write: number } | undefined
  /** How many different ones were used within the last {@link ADVICE_DAYS}. */
  readonly used: { readonly read: number; readonly written: number }
  /** Start of the audit log: there is no knowledge of earlier use. */
  readonly knownSince: Date
}

/** How a token could be improved. */
export type Advice =
  | { readonly kind: 'never-expires' }
  | { readonly kind: 'unused'; readonly days: number }
  | {
      readonly kind: 'wider-than-used'
      readonly may: 'read' | 'write'
      readonly accessible: number
      readonly used: number
      readonly days: number
    }
  | { readonly kind: 'never-writes'; readonly days: number }

/** The fields of a token that advice depends on. */
export type Advised = Pick<PersonalAccessToken, 'scopes' | 'createdAt' | 'expiresAt' | 'revokedAt' | 'lastUsedAt'>

/** Gives advice about a token. There is none for an inactive one. */
export function adviceOn(token: Advised, observed: Observed, now: Date): Advice[] {
  if (tokenState(token, now, true) !== 'active') return []
  const since = Math.max(now.getTime() - ADVICE_DAYS * DAY, token.createdAt.getTime(), observed.knownSince.getTime())
  const days = Math.floor((now.getTime() - since) / DAY)
  const advice: Advice[] = token.expiresAt === null ? [{ kind: 'never-expires' }] : []
  const { read, written } = observed.used
  // A token created today had no time to be used.
  if (days < 1) return advice
  const isUsed = read + written > 0 || (token.lastUsedAt !== null && token.lastUsedAt.getTime() >= since - DAY)
  if (!isUsed) return [...advice, { kind: 'unused', days }]
  const mayWrite = scopesAllow(token.scopes, 'write')
  const { accessible } = observed
  const may = mayWrite ? 'write' : 'read'
  const used = Math.max(read, written)
  if (accessible !== undefined && accessible[may] > used + 1 && accessible[may] >= 2 * used)
    advice.push({ kind: 'wider-than-used', may, accessible: accessible[may], used, days })
  if (mayWrite && written === 0) advice.push({ kind: 'never-writes', days })
  return advice
}

/** Advice in one line, with what to do. */
export function describeAdvice(advice: Advice): string {
  switch (advice.kind) {
    case 'never-expires':
      return 'never expires; set an expiry date: gitgate token rotate ID --expires-in 90d'
    case 'unused':
      return `unused for ${inDays(advice.days)}; revoke it if nobody needs it`
    case 'wider-than-used':
      return `can ${advice.may} ${count(advice.accessible, 'repository', 'repositories')}, but used ${advice.used} in ${inDays(advice.days)}; limit the next token with --repo`
    case 'never-writes':
      return `can push, but didn't in ${inDays(advice.days)}; the scope read_repository would be enough`
  }
}

function inDays(days: number): string {
  return count(days, 'day', 'days')
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}
