import { utcTime } from '../../../core/clock.js'
import { formatSize } from '../../../domain/tokens/budget.js'
import { describeRestrictions, isRestricted } from '../../../domain/tokens/restriction.js'
import type { PersonalAccessToken } from '../../../domain/tokens/token.js'

/** The details of a token, on pages that ask before they do what can't be undone. */
export function factsOf(token: PersonalAccessToken, owner: string): readonly (readonly [string, string])[] {
  const { description, scopes, expiresAt, lastUsedAt, lastUsedIps, createdAt, issuedBy } = token
  const limits = limitsOf(token)
  return [
    ['ID', String(token.id)],
    ['Owner', owner],
    ...(description === null ? [] : [['Description', description] as const]),
    ['Scopes', scopes.join(', ')],
    ...(limits === undefined ? [] : [['Limits', limits] as const]),
    ['Created', `${utcTime(createdAt)}${issuedBy === null ? '' : `, by ${issuedBy}`}`],
    ['Expires', expiresAt === null ? 'never' : utcTime(expiresAt)],
    ['Last used', lastUsedAt === null ? 'never' : `${utcTime(lastUsedAt)}, from ${lastUsedIps.join(', ')}`],
  ]
}

function limitsOf({ restrictions, budget }: PersonalAccessToken): string | undefined {
  const words = [
    ...(isRestricted(restrictions) ? [describeRestrictions(restrictions)] : []),
    ...(budget.pushes === null ? [] : [`${budget.pushes} pushes`]),
    ...(budget.bytes === null ? [] : [`${formatSize(budget.bytes)} of pushes`]),
  ]
  return words.length === 0 ? undefined : words.join('; ')
}
