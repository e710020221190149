import type { AuditStore } from '../audit/audit-log.js'
import { DAY } from '../../core/clock.js'
import type { Advice } from '../policies/advice.js'
import { ADVICE_DAYS, adviceOn } from '../policies/advice.js'
import type { UsedToken } from '../tokens/query.js'
import { scopesAllow } from '../tokens/scope.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { AccessibleCount, AccessibleRepositories } from './accessible-repositories.js'

/** What advice is based on. */
export type AdviceSources = {
  readonly audit: Pick<AuditStore, 'usedRepositories'>
  /** The repositories within the token's limits; `undefined` with an upstream, which can't list its repositories. */
  readonly accessible: AccessibleCount | undefined
  /** Start of the audit log: earlier use is unknown. */
  readonly knownSince: Date
}

/** Gives advice about a token, from its access and its use, including that of tokens derived from it. */
export async function adviseOn(
  token: PersonalAccessToken,
  { audit, accessible, knownSince }: AdviceSources,
  now: Date,
): Promise<Advice[]> {
  const used = await audit.usedRepositories(token.parentId ?? token.id, new Date(now.getTime() - ADVICE_DAYS * DAY))
  return adviceOn(token, { accessible: accessible && withinScopes(token, accessible), used, knownSince }, now)
}

/** The IDs of tokens that can use more repositories than they do. @param nameOf usernames by account ID */
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
    const count = withinScopes(token, accessible.count(username, token.restrictions))
    const advice = adviceOn(token, { accessible: count, used: token.used, knownSince }, now)
    return advice.some(({ kind }) => kind === 'wider-than-used')
  }
  return tokens.filter(isWider).map(({ id }) => id)
}

function withinScopes(
  { scopes }: Pick<PersonalAccessToken, 'scopes'>,
  { read, write }: AccessibleCount,
): AccessibleCount {
  return { read: scopesAllow(scopes, 'read') ? read : 0, write: scopesAllow(scopes, 'write') ? write : 0 }
}
