import { utcDate } from '../../core/clock.js'
import type { Secret } from '../../core/secret.js'
import type { Budget, Spent } from './budget.js'
import type { Restrictions } from './restriction.js'
import { formatRefRule, isRestricted } from './restriction.js'
import type { Scope } from './scope.js'

/** A stored personal access token: everything but its secret. */
export type PersonalAccessToken = {
  readonly id: number
  readonly userId: number
  /** What it is for; not necessarily unique. */
  readonly name: string
  readonly description: string | null
  readonly scopes: readonly Scope[]
  readonly restrictions: Restrictions
  readonly budget: Budget
  readonly spent: Spent
  readonly createdAt: Date
  /** When it expires; `null`: never. */
  readonly expiresAt: Date | null
  /** When it is revoked; in the future during the grace period of a rotation. */
  readonly revokedAt: Date | null
  /** Created by an administrator to act as the account; hidden from its owner. */
  readonly impersonation: boolean
  /** Updated at most once in 24 hours, as in older versions of GitLab. */
  readonly lastUsedAt: Date | null
  /** The last five addresses that used it, newest first. */
  readonly lastUsedIps: readonly string[]
  /** The token that this one replaced when it was rotated. */
  readonly previousId: number | null
  /** The token that this one was derived from, and is revoked with. */
  readonly parentId: number | null
  /** Who created it: a username, or a user of the operating system; `null` for tokens from before this was recorded. */
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

/** A token in brief, for reading all of them. */
export type BriefToken = Pick<
  PersonalAccessToken,
  'id' | 'userId' | 'name' | 'parentId' | 'expiresAt' | 'revokedAt' | 'impersonation' | 'lastUsedAt'
>

/** Whether a token has limits besides its scopes: repositories, refs, a budget, or a parent. */
export function isLimited({ restrictions, budget, parentId }: PersonalAccessToken): boolean {
  return isRestricted(restrictions) || budget.pushes !== null || budget.bytes !== null || parentId !== null
}

/** Why a token is or is not usable; GitLab checks in this order. */
export type TokenState = 'active' | 'expired' | 'revoked'

/**
 * A token's state at a given time. It is expired at `expiresAt`, so a token that expires "today" is expired the whole day
 * (GitLab: a date means midnight UTC, when that day begins).
 *
 * @param enforceExpiry the setting `enforce_pat_expiration`; if off, tokens work until they are revoked
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
 * A token as in GitLab's API, for `--json` and the API. `expires_at` is a date, as in GitLab; the exact time is a separate
 * field. GitLab lacks `repositories`, `refs`, the budgets and `parent_id`.
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
