import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'

/** The scopes of a personal access token, by GitLab's names, each with what it grants. */
const SCOPES = {
  api: 'complete read and write access: the API, Git over HTTP and the container registry',
  read_api: 'read access to the API, and to repositories over HTTP',
  read_user: 'read access to your own account through the API',
  read_repository: 'clone and fetch over HTTP',
  write_repository: 'clone, fetch and push over HTTP (not the API)',
  read_registry: 'pull container images',
  write_registry: 'push container images',
  sudo: 'act as any other account through the API; for administrators',
} as const

/** One of GitLab's scopes. */
export type Scope = keyof typeof SCOPES

/** All scopes, in the order shown. */
export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[]

/** What a scope grants, in a few words. */
export function scopeSummary(scope: Scope): string {
  return SCOPES[scope]
}

const READING: ReadonlySet<Scope> = new Set(['api', 'read_api', 'read_repository', 'write_repository'])
const WRITING: ReadonlySet<Scope> = new Set(['api', 'write_repository'])

/** Whether a token's scopes let it do this with repositories (GitLab's abilities: the union over all its scopes). */
export function scopesAllow(scopes: readonly Scope[], ability: 'read' | 'write'): boolean {
  const enough = ability === 'read' ? READING : WRITING
  return scopes.some((scope) => enough.has(scope))
}

const ADMINISTERING: ReadonlySet<Scope> = new Set(['api', 'sudo'])

/** Whether a token of this owner could administer the gate. */
export function administers(scopes: readonly Scope[], owner: { readonly admin: boolean }): boolean {
  return owner.admin && scopes.some((scope) => ADMINISTERING.has(scope))
}

/** Whether a word is one of GitLab's scopes. */
function isScope(word: string): word is Scope {
  return Object.hasOwn(SCOPES, word)
}

/**
 * Parses a list of scopes such as `read_repository,write_repository`. A scope named twice counts once.
 *
 * @throws GitgateError `invalid`; the message lists the valid scopes
 */
export function parseScopes(list: string): Scope[] {
  const words = list.split(/[\s,]+/).filter((word) => word !== '')
  const unknown = words.find((word) => !isScope(word))
  if (unknown !== undefined || words.length === 0) {
    const problem =
      unknown === undefined ? 'a token needs at least one scope' : `"${printable(unknown)}" is not a scope`
    throw new GitgateError('invalid', `${problem}; the scopes are ${ALL_SCOPES.join(', ')}`, { field: 'scopes' })
  }
  return ALL_SCOPES.filter((scope) => words.includes(scope))
}
