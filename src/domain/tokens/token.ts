import { utcDate } from '../../core/clock.js'
import type { Secret } from '../../core/secret.js'
import type { Budget, Spent } from './budget.js'
import type { Restrictions } from './restriction.js'
import { formatRefRule, isRestricted } from './restriction.js'
import type { Scope } from './scope.js'

/** A personal access token, as it is kept: everything but its secret. */
export type PersonalAccessToken = {
  readonly id: number
  readonly userId: number
  /** What it is for; need not be unique. */
  readonly name: string
  readonly description: string | null
  readonly scopes: readonly Scope[]
  readonly restrictions: Restrictions
  readonly budget: Budget
  readonly spent: Spent
  readonly createdAt: Date
  /** The instant from which it is over; `null`: never. */
  readonly expiresAt: Date | null
  /** The instant from which it is revoked: one that is still to come where a rotation lets it live on for a while. */
  readonly revokedAt: Date | null
  /** Made by an administrator to act as the account; hidden from its owner. */
  readonly impersonation: boolean
  /** Moves at most once in 24 hours, as GitLab's did. */
  readonly lastUsedAt: Date | null
  /** The last five addresses that used it, newest first. */
  readonly lastUsedIps: readonly string[]
  /** The token that this one replaced when it was rotated. */
  readonly previousId: number | null
  /** The token that this one was derived from, with which it ends. */
  readonly parentId: number | null
  /** Who made it: a username, or a user of the operating system; `null` where that was not noted yet. */
  readonly issuedBy: string | null
}

/** What is stored when a token is issued. */
export type NewToken = Pick<
  PersonalAccessToken,
  | 'userId'
  | 'name'
  | 'description'
  | 'scopes'
  | 'restrictions'
  | 'budget'
  | 'spent'
  | 'parentId'
  | 'createdAt'
  | 'expiresAt'
  | 'impersonation'
  | 'previousId'
> & { readonly digest: Secret }

/** What there is to know of a token where all of them are looked at. */
export type BriefToken = Pick<
  PersonalAccessToken,
  'id' | 'userId' | 'name' | 'parentId' | 'expiresAt' | 'revokedAt' | 'impersonation' | 'lastUsedAt'
>

/** Whether a token is less than its scopes say: limited to repositories, refs or a budget, or derived from another. */
export function isLimited({ restrictions, budget, parentId }: PersonalAccessToken): boolean {
  return isRestricted(restrictions) || budget.pushes !== null || budget.bytes !== null || parentId !== null
}

/** Why a token is or is not usable; GitLab checks in this order. */
export type TokenState = 'active' | 'expired' | 'revoked'

/**
 * A token's state at an instant. It is over from the instant `expiresAt` on, so that a token that expires "today" is
 * over all day (GitLab: a date means midnight UTC, when that day begins).
 *
 * @param enforceExpiry the setting `enforce_pat_expiration`; off, a token works until it is revoked
 */
export function tokenState(
  token: Pick<PersonalAccessToken, 'expiresAt' | 'revokedAt'>,
  now: Date,
  enforceExpiry: boolean,
): TokenState {
  if (enforceExpiry && token.expiresAt !== null && token.expiresAt <= now) return 'expired'
  return token.revokedAt === null || token.revokedAt > now ? 'active' : 'revoked'
}

/**
 * A token as GitLab's API shows it: for every `--json`, and the API. `expires_at` is a date, as there; the exact instant
 * stands beside it. `repositories`, `refs`, the budgets and `parent_id` are ours: what the token is
 * limited to, and what it was derived from.
 *
 * @param enforceExpiry the setting `enforce_pat_expiration`
 */
export function tokenEntity(token: PersonalAccessToken, now: Date, enforceExpiry: boolean) {
  return {
    id: token.id,
    name: token.name,
    revoked: tokenState(token, now, false) === 'revoked',
    created_at: token.createdAt.toISOString(),
    description: token.description,
    scopes: token.scopes,
    repositories: token.restrictions.repositories,
    refs: token.restrictions.refs.map(formatRefRule),
    max_pushes: token.budget.pushes,
    max_push_bytes: token.budget.bytes,
    pushes: token.spent.pushes,
    push_bytes: token.spent.bytes,
    parent_id: token.parentId,
    user_id: token.userId,
    last_used_at: token.lastUsedAt?.toISOString() ?? null,
    active: tokenState(token, now, enforceExpiry) === 'active',
    expires_at: token.expiresAt === null ? null : utcDate(token.expiresAt),
    expires_at_time: token.expiresAt?.toISOString() ?? null,
    last_used_ips: token.lastUsedIps,
    impersonation: token.impersonation,
  }
}
