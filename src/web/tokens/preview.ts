import { explainRef } from '../../domain/access/decide.js'
import { refProtections } from '../../domain/access/protection.js'
import { AccessibleRepositories } from '../../domain/access/accessible-repositories.js'
import type { Account } from '../../domain/accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { parseRepositoryPath } from '../../protocol/repository-path.js'
import { fullRefPattern, isRefName } from '../../protocol/pattern.js'
import type { RefVerb } from '../../domain/tokens/restriction.js'
import { reaches } from '../../domain/tokens/restriction.js'
import { scopesAllow } from '../../domain/tokens/scope.js'
import { sentence } from '../page-errors.js'
import type { PageOptions } from '../web-options.js'
import { describeRefRule } from './rows.js'
import type { ReadForm, TokenForm } from './token-form.js'

const SHOWN = 12

/** What a token would allow on a repository. */
type Ability = 'read' | 'write'

/** What a draft of a token can access. */
export type Preview = {
  readonly can: Ability | 'nothing'
  /** `undefined` for an upstream, which can't list its repositories. */
  readonly repositories:
    | {
        readonly shown: readonly { readonly path: RepositoryPath; readonly can: Ability }[]
        readonly total: number
        /** How many the account can access without limits. */
        readonly of: number
      }
    | undefined
  /** Patterns that no repository matches yet. */
  readonly idle: readonly string[]
  readonly refs: readonly { readonly pattern: string; readonly verbs: string }[]
  readonly trial: Trial | undefined
}

/** The result of a push that was tried out. */
type Trial =
  | { readonly kind: 'unreadable'; readonly problem: string }
  | {
      readonly kind: 'tried'
      readonly ref: string
      readonly repository: RepositoryPath
      readonly verbs: Readonly<Record<RefVerb, string | null>>
    }

/** Finds what a draft can access of what its owner can. */
export async function previewOf(
  { draft }: ReadForm,
  form: TokenForm,
  owner: Account,
  { access, listRepositories, protections }: Pick<PageOptions, 'access' | 'listRepositories' | 'protections'>,
): Promise<Preview> {
  const { restrictions, scopes } = draft
  const can = abilityOf(scopesAllow(scopes, 'read'), scopesAllow(scopes, 'write'))
  const accountAccess = await access.accessOf(owner)
  const accessible = new AccessibleRepositories(await listRepositories(), accountAccess.grants)
  await accessible.prepare(restrictions)
  const matching = accessible.list(owner.username, restrictions)
  const isIdle = (pattern: string): boolean =>
    accessible.count(owner.username, { repositories: [pattern], within: null }).read === 0
  const tryPush = async (): Promise<Trial> => {
    const { ref, repository } = readTrial(form, matching[0]?.path)
    if (!reaches(restrictions, repository)) throw new GitgateError('invalid', `the token doesn't cover ${repository}`)
    const role = accountAccess.roleOn(repository)
    const rules = refProtections(repository, await protections.listFor(repository))
    return {
      kind: 'tried',
      ref,
      repository,
      verbs: explainRef(ref, { token: draft, role, protections: rules }),
    }
  }
  return {
    can,
    repositories: accountAccess.ownsGroup
      ? {
          shown: matching
            .slice(0, SHOWN)
            .map(({ path, role }) => ({ path, can: role !== 'read' && can === 'write' ? 'write' : 'read' })),
          total: matching.length,
          of: accessible.count(owner.username).read,
        }
      : undefined,
    idle: accountAccess.ownsGroup ? restrictions.repositories.filter(isIdle) : [],
    refs: restrictions.refs.map(describeRefRule),
    trial: can === 'write' && form.try_ref.trim() !== '' ? await tryPush().catch(asProblem) : undefined,
  }
}

/** The ref and the repository of the push to try out. @throws GitgateError `invalid` */
function readTrial({ try_ref: ref, try_repository: repository }: TokenForm, first: RepositoryPath | undefined) {
  const wanted = repository.trim()
  const path = wanted === '' ? first : parseRepositoryPath(wanted, 'upstream')
  if (path === undefined) {
    const problem = wanted === '' ? 'enter a repository' : `"${printable(wanted)}" is not a valid repository path`
    throw new GitgateError('invalid', problem)
  }
  const pattern = fullRefPattern(ref.trim())
  if (!isRefName(pattern)) throw new GitgateError('invalid', 'enter one branch or ref, without *')
  return { ref: pattern, repository: path }
}

function abilityOf(canRead: boolean, canWrite: boolean): Ability | 'nothing' {
  return canWrite ? 'write' : canRead ? 'read' : 'nothing'
}

function asProblem(error: unknown): Trial {
  if (!(error instanceof GitgateError)) throw error
  return { kind: 'unreadable', problem: sentence(error.message) }
}
