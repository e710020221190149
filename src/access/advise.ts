import type { AuditStore } from '../audit/trail.js'
import { usesOfRepositories } from '../audit/usage.js'
import { DAY } from '../clock.js'
import type { Advice } from '../policies/advice.js'
import { ADVICE_DAYS, adviceOn } from '../policies/advice.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { scopesAllow } from '../tokens/scope.js'
import type { PersonalAccessToken, TokenStore } from '../tokens/token.js'
import type { Role } from './grant.js'
import { includes } from './grant.js'

/** Where advice is taken from. */
export type AdviceSources = {
  readonly tokens: Pick<TokenStore, 'family'>
  readonly audit: Pick<AuditStore, 'usage'>
  /** All that there are; `undefined` where another server keeps them. */
  readonly repositories: readonly RepositoryPath[] | undefined
  /** From when on the audit trail tells what was used. */
  readonly knownSince: Date
}

/**
 * Gives advice about a token, from what it reaches and what was done with it and with those derived from it.
 *
 * @param roleOn what its owner may, narrowed by the token's limits
 */
export async function adviseOn(
  token: PersonalAccessToken,
  roleOn: (repository: RepositoryPath) => Role | 'none',
  { tokens, audit, repositories, knownSince }: AdviceSources,
  now: Date,
): Promise<Advice[]> {
  const family = await tokens.family(token.id)
  const uses = usesOfRepositories(await audit.usage(family, new Date(now.getTime() - ADVICE_DAYS * DAY)))
  const roles = repositories?.map(roleOn)
  const reach = (role: Role): number => roles?.filter((one) => includes(one, role)).length ?? 0
  const observed = {
    reach: roles && {
      read: scopesAllow(token.scopes, 'read') ? reach('read') : 0,
      write: scopesAllow(token.scopes, 'write') ? reach('write') : 0,
    },
    used: {
      read: uses.filter(({ fetches }) => fetches > 0).length,
      written: uses.filter(({ pushes }) => pushes > 0).length,
    },
    knownSince,
  }
  return adviceOn(token, observed, now)
}
