import { utcDate } from '../../core/clock.js'
import { formatRefRule } from './restriction.js'
import type { PersonalAccessToken } from './token.js'
import { tokenState } from './token.js'

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
