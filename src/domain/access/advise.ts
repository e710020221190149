import type { AuditStore } from '../audit/audit-log.js'
import { DAY } from '../../core/clock.js'
import type { Advice } from '../policies/advice.js'
import { ADVICE_DAYS, adviceOn } from '../policies/advice.js'
import type { UsedToken } from '../tokens/query.js'
import { scopesAllow } from '../tokens/scope.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { AccessibleCount, AccessibleRepositories } from './accessible-repositories.js'

/** Where advice is taken from. */
export type AdviceSources = {
  readonly audit: Pick<AuditStore, 'usedRepositories'>
  /** What there is within the token's limits; `undefined` where another server keeps the repositories. */
  readonly reach: AccessibleCount | undefined
  /** From when on the audit log says what was used. */
  readonly knownSince: Date
}

/** Gives advice about a token, from what it reaches and what was done with it and with those derived from it. */
export async function adviseOn(
  token: PersonalAccessToken,
  { audit, reach, knownSince }: AdviceSources,
  now: Date,
): Promise<Advice[]> {
  const used = await audit.usedRepositories(token.parentId ?? token.id, new Date(now.getTime() - ADVICE_DAYS * DAY))
  return adviceOn(token, { reach: reach && reachByScopes(token, reach), used, knownSince }, now)
}

/** The tokens that may use more repositories than they do, by their numbers. @param nameOf the username of an account */
export function widerThanUsed(
  tokens: readonly UsedToken[],
  accessible: AccessibleRepositories,
  nameOf: ReadonlyMap<number, string>,
  knownSince: Date,
  now: Date,
): number[] {
  const isWider = (token: UsedToken): boolean => {
    const username = nameOf.get(token.userId)
    if (username === undefined) return false
    const reach = reachByScopes(token, accessible.count(username, token.restrictions))
    return adviceOn(token, { reach, used: token.used, knownSince }, now).some(({ kind }) => kind === 'wider-than-used')
  }
  return tokens.filter(isWider).map(({ id }) => id)
}

function reachByScopes(
  { scopes }: Pick<PersonalAccessToken, 'scopes'>,
  { read, write }: AccessibleCount,
): AccessibleCount {
  return { read: scopesAllow(scopes, 'read') ? read : 0, write: scopesAllow(scopes, 'write') ? write : 0 }
}
