import { DAY } from '../../core/clock.js'
import { tooLongLived } from '../../domain/policies/lifetime.js'
import type { Settings } from '../../domain/policies/settings.js'
import { formatSize } from '../../domain/tokens/budget.js'
import type { RefRule } from '../../domain/tokens/restriction.js'
import { describeRestrictions } from '../../domain/tokens/restriction.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { tokenState } from '../../domain/tokens/token.js'

/** Tokens that expire within this time are shown as expiring, as on GitLab. */
export const EXPIRING_MS = 14 * DAY

/** The status of a token. */
type TokenStatus =
  | 'active'
  /** Within two weeks. */
  | 'expiring'
  /** Rotated; its old secret works for a while. */
  | 'ending'
  | 'expired'
  | 'revoked'

/** Tokens, for tables. */
export function tokenRows(tokens: readonly PersonalAccessToken[], now: Date, settings: Settings) {
  const tooLong = new Set(tooLongLived(tokens, settings, now).map(({ id }) => id))
  return tokens.map((token) => ({
    ...tokenRow(token, now, settings.enforce_pat_expiration),
    // Older than a lifetime limit, which revokes them after three hours.
    isTooLong: tooLong.has(token.id),
  }))
}

/** A token, for pages about one. @param enforceExpiry the setting `enforce_pat_expiration` */
export function tokenRow(token: PersonalAccessToken, now: Date, enforceExpiry: boolean) {
  const { restrictions, budget, spent } = token
  const status = statusOf(token, now, enforceExpiry)
  const isUsable = status !== 'expired' && status !== 'revoked'
  return {
    ...token,
    status,
    enforceExpiry,
    repositories: restrictions.repositories,
    refs: restrictions.refs.map(describeRefRule),
    within: restrictions.within === null ? undefined : describeRestrictions(restrictions.within),
    budgets: [
      ...(budget.pushes === null ? [] : [`${spent.pushes} of ${budget.pushes} pushes`]),
      ...(budget.bytes === null ? [] : [`${formatSize(spent.bytes)} of ${formatSize(budget.bytes)} pushed`]),
    ],
    canRevoke: isUsable,
    // Its successor exists already. Derived tokens live for one task.
    canRotate: isUsable && status !== 'ending' && token.parentId === null,
  }
}

function statusOf(token: PersonalAccessToken, now: Date, enforceExpiry: boolean): TokenStatus {
  const state = tokenState(token, now, enforceExpiry)
  if (state !== 'active') return state
  if (token.revokedAt !== null) return 'ending'
  const isSoonOver = token.expiresAt !== null && token.expiresAt.getTime() < now.getTime() + EXPIRING_MS
  return enforceExpiry && isSoonOver ? 'expiring' : 'active'
}

const BRANCHES = 'refs/heads/'

/** A ref rule for people: branches by their short names, and verbs only if not all are allowed. */
export function describeRefRule({ pattern, verbs }: RefRule): { readonly pattern: string; readonly verbs: string } {
  const short = pattern.startsWith(BRANCHES) ? pattern.slice(BRANCHES.length) : pattern
  return {
    pattern: short,
    verbs: verbs.length < 2 ? verbs.join('') : `${verbs.slice(0, -1).join(', ')} and ${verbs.at(-1) ?? ''}`,
  }
}
