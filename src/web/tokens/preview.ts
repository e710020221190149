import type { Access } from '../../access/access.js'
import type { Account } from '../../accounts/account.js'
import { GitgateError } from '../../errors.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { parseRepositoryPath } from '../../protocol/repository-path.js'
import { parseRefPattern } from '../../protocol/ref-pattern.js'
import { isRefName } from '../../protocol/ref-name.js'
import type { RefVerb, Restrictions } from '../../tokens/restriction.js'
import { reaches } from '../../tokens/restriction.js'
import { scopesAllow } from '../../tokens/scope.js'
import { sentence } from '../confirmation.js'
import type { PageOptions } from '../options.js'
import { refWords } from './ref-words.js'
import type { ReadForm, TokenForm } from './token-form.js'

const SHOWN = 12

/** What a token would let be done with a repository. */
type Ability = 'read' | 'write'

/** What a draft matches, for people to see before they make it. */
export type Preview = {
  readonly can: Ability | 'nothing'
  /** `undefined` where another server keeps them and can't be asked. */
  readonly repositories:
    | {
        readonly shown: readonly { readonly path: RepositoryPath; readonly can: Ability }[]
        readonly total: number
        /** How many the account reaches without limits. */
        readonly of: number
      }
    | undefined
  /** Patterns that no repository matches yet. */
  readonly idle: readonly string[]
  readonly refs: readonly { readonly pattern: string; readonly verbs: string }[]
  readonly trial: Trial | undefined
}

/** What would become of a push. */
type Trial =
  | { readonly kind: 'unreadable'; readonly problem: string }
  | {
      readonly kind: 'tried'
      readonly ref: string
      readonly repository: RepositoryPath
      readonly verbs: Readonly<Record<RefVerb, string | null>>
    }

/** Finds what a draft matches of what its owner reaches. */
export async function previewOf(
  { draft }: ReadForm,
  form: TokenForm,
  owner: Account,
  { access, listRepositories }: Pick<PageOptions, 'access' | 'listRepositories'>,
): Promise<Preview> {
  const { restrictions, scopes } = draft
  const can = abilityOf(scopesAllow(scopes, 'read'), scopesAllow(scopes, 'write'))
  const reach = await access.reachOf(owner)
  const reached = listRepositories().flatMap((path) => {
    const role = reach.roleOn(path)
    return role === 'none' ? [] : [{ path, can: abilityOf(true, role !== 'read' && can === 'write') }]
  })
  const matching = reached.filter(({ path }) => reaches(restrictions, path))
  const isIdle = (pattern: string): boolean =>
    !reached.some(({ path }) => reaches({ repositories: [pattern], refs: [], within: null }, path))
  return {
    can,
    repositories: reach.ownsGroup
      ? {
          shown: matching.slice(0, SHOWN) as { path: RepositoryPath; can: Ability }[],
          total: matching.length,
          of: reached.length,
        }
      : undefined,
    idle: reach.ownsGroup ? restrictions.repositories.filter(isIdle) : [],
    refs: restrictions.refs.map(refWords),
    trial: can === 'write' ? await tryPush(draft, form, owner, matching[0]?.path, access) : undefined,
  }
}

async function tryPush(
  draft: { readonly name: string; readonly restrictions: Restrictions },
  form: TokenForm,
  owner: Account,
  first: RepositoryPath | undefined,
  access: Pick<Access, 'explainRef'>,
): Promise<Trial | undefined> {
  const text = form.try_ref.trim()
  const wanted = form.try_repository.trim()
  if (text === '') return undefined
  const repository = wanted === '' ? first : parseRepositoryPath(wanted)
  if (repository === undefined) {
    const problem = wanted === '' ? 'Name a repository, too.' : `“${wanted}” is no path of a repository.`
    return { kind: 'unreadable', problem }
  }
  try {
    const ref = parseRefPattern(text)
    if (!isRefName(ref)) return { kind: 'unreadable', problem: 'Name one branch or ref, without a *.' }
    return { kind: 'tried', ref, repository, verbs: await access.explainRef(repository, ref, owner, draft) }
  } catch (error) {
    if (!(error instanceof GitgateError)) throw error
    return { kind: 'unreadable', problem: sentence(error.message) }
  }
}

function abilityOf(canRead: boolean, canWrite: boolean): Ability | 'nothing' {
  return canWrite ? 'write' : canRead ? 'read' : 'nothing'
}
