import type { GitRequest } from '../../protocol/git-request.js'
import { limitsRepositories, reaches } from '../tokens/restriction.js'
import { scopesAllow } from '../tokens/scope.js'
import type { Identity } from './authenticate.js'
import { accountOf } from './authenticate.js'
import type { EffectiveRole } from './grant.js'
import { includes } from './grant.js'
import type { Ability, Refusal } from './refusal.js'

/** What a decision about a Git request depends on, beside the request and who makes it. */
export type Circumstances = {
  readonly effective: EffectiveRole
  /** `unknown` where only the backend can tell: treated as there. */
  readonly repository: 'found' | 'missing' | 'unknown'
  /** Why a missing repository can't be created by this push; `undefined`: it can. */
  readonly obstacleToCreate: string | undefined
  /** The setting `push_to_create`. */
  readonly pushToCreate: boolean
}

/** What was decided, and by which rule. */
export type Decision =
  | { readonly kind: 'serve'; readonly rule: string }
  /** The repository is not there and this push is to create it. */
  | { readonly kind: 'create'; readonly rule: string }
  | { readonly kind: 'refuse'; readonly refusal: Refusal; readonly rule: string }

/**
 * Decides about a Git request, in GitLab's order: scopes before anything about the repository, so that a token learns
 * nothing about repositories that it could not use; then whether the repository may be seen; then whether it may be
 * pushed to.
 */
export function decide(request: GitRequest, identity: Identity, circumstances: Circumstances): Decision {
  const { effective, repository } = circumstances
  const ability = abilityOf(request)
  const account = accountOf(identity)
  if (account === undefined) {
    const readable = ability === 'read' && includes(effective.role, 'read') && repository !== 'missing'
    return readable ? { kind: 'serve', rule: effective.rule } : refuse({ kind: 'credentials-missing' }, 'anonymous')
  }
  if (identity.kind === 'token' && !scopesAllow(identity.token.scopes, ability)) {
    const { name, scopes } = identity.token
    return refuse({ kind: 'scope-too-small', ability, token: name, scopes }, `scopes ${scopes.join(',')}`)
  }
  const outside = identity.kind === 'token' && !reaches(identity.token.restrictions, request.repository)
  const limited = identity.kind === 'token' && limitsRepositories(identity.token.restrictions)
  const named = { repository: request.repository, username: account.username }
  if (outside) return refuse({ kind: 'repository-not-found', ...named, limited }, 'outside the token')
  if (!includes(effective.role, 'read'))
    return refuse({ kind: 'repository-not-found', ...named, limited }, effective.rule)
  if (repository === 'missing') return decideMissing(ability, named, circumstances)
  if (ability === 'write' && !includes(effective.role, 'write')) {
    return refuse({ kind: 'push-not-granted', ...named }, effective.rule)
  }
  return { kind: 'serve', rule: effective.rule }
}

/** What a Git request does to a repository. */
export function abilityOf(request: GitRequest): Ability {
  return request.service === 'git-upload-pack' ? 'read' : 'write'
}

function decideMissing(
  ability: Ability,
  named: Pick<Refusal & { kind: 'repository-not-found' }, 'repository' | 'username'>,
  { effective, pushToCreate, obstacleToCreate }: Circumstances,
): Decision {
  const mayCreate = pushToCreate && includes(effective.role, 'admin')
  if (ability === 'read' || !mayCreate) {
    return refuse({ kind: 'repository-missing', repository: named.repository, mayCreate }, 'no such repository')
  }
  if (obstacleToCreate !== undefined) return refuse({ kind: 'creation-refused', reason: obstacleToCreate }, 'bad name')
  return { kind: 'create', rule: effective.rule }
}

function refuse(refusal: Refusal, rule: string): Decision {
  return { kind: 'refuse', refusal, rule }
}
