import type { AuditContext } from '../audit/event.js'
import type { Account } from '../accounts/account.js'
import { checkUsername } from '../accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { checkRepositoryPattern, repositoryMatcher } from '../../protocol/pattern.js'

/** What a grant lets its subject do; each role includes those before it. */
export type Role = 'read' | 'write' | 'admin'

/** Whom a grant is for: everybody, everybody who is signed in, or one account. */
export type Subject = '@anonymous' | '@all' | (string & {})

/** That a subject has a role on the repositories of a pattern. */
export type Grant = {
  readonly id: number
  readonly subject: Subject
  readonly role: Role
  readonly pattern: string
}

/** One page of a list, and how long the whole list is. */
export type GrantPage = { readonly grants: readonly Grant[]; readonly total: number }

/** Where grants are kept. */
export interface GrantStore {
  /** Adds a grant, or changes the role of the one with the same subject and pattern. */
  put(context: AuditContext, grant: Omit<Grant, 'id'>, now: Date): Promise<Grant>
  /** @returns false when there was none */
  remove(context: AuditContext, subject: Subject, pattern: string): Promise<boolean>
  list(): Promise<Grant[]>
  /** Some of those whose subject or pattern holds a text, in any case of its letters; by pattern. */
  search(text: string, window: { readonly offset: number; readonly limit: number }): Promise<GrantPage>
  find(subject: Subject, pattern: string): Promise<Grant | undefined>
  /** Those for any of the subjects; usernames count the same in either case. */
  listFor(subjects: readonly Subject[]): Promise<Grant[]>
}

/** The role that an account has on a repository, and where it comes from. */
export type EffectiveRole = {
  readonly role: Role | 'none'
  /** The rule that decided, for logs and explanations: `grant 3 (@all read docs/**)`, `owner of alice/**`, `no grant`. */
  readonly rule: string
}

const RANK = { none: 0, read: 1, write: 2, admin: 3 } as const

/** Whether a role includes another. */
export function includes(role: Role | 'none', wanted: Role): boolean {
  return RANK[role] >= RANK[wanted]
}

/** The subjects whose grants count for an account; for nobody in particular without one. */
export function subjectsOf(account: Pick<Account, 'username'> | undefined): Subject[] {
  return account === undefined ? ['@anonymous'] : ['@anonymous', '@all', account.username.toLowerCase()]
}

/** A grant with its pattern made ready. */
export type ReadyGrant = { readonly grant: Grant; readonly matches: (path: RepositoryPath) => boolean }

/** Makes a grant ready to be compared with many paths. */
export function readyGrant(grant: Grant): ReadyGrant {
  return { grant, matches: repositoryMatcher(grant.pattern) }
}

/**
 * The strongest role that grants give on a repository. An administrator passes none by default: they administer accounts,
 * which does not make them readers of everything.
 *
 * @param grants those of {@link subjectsOf} the account
 * @param ownsGroup whether an account is admin of the group of its own name, as on the embedded server
 */
export function effectiveRole(
  account: Pick<Account, 'username'> | undefined,
  grants: readonly ReadyGrant[],
  repository: RepositoryPath,
  ownsGroup: boolean,
): EffectiveRole {
  if (ownsGroup && account !== undefined && repository.startsWith(`${account.username}/`)) {
    return { role: 'admin', rule: `owner of ${account.username}/**` }
  }
  let best: Grant | undefined
  for (const { grant, matches } of grants) {
    if (RANK[grant.role] > RANK[best?.role ?? 'none'] && matches(repository)) best = grant
  }
  if (best === undefined) return { role: 'none', rule: 'no grant' }
  return { role: best.role, rule: `grant ${best.id} (${best.subject} ${best.role} ${best.pattern})` }
}

/**
 * Reads the parts of a grant as they are typed.
 *
 * @throws GitgateError `invalid`
 */
export function parseGrant(subject: string, role: string, pattern: string): Omit<Grant, 'id'> {
  if (role !== 'read' && role !== 'write' && role !== 'admin') {
    throw new GitgateError('invalid', `"${printable(role)}" is not a role; the roles are read, write, admin`)
  }
  if (subject === '@anonymous' && role !== 'read') {
    throw new GitgateError('invalid', '@anonymous can only read, because nobody would know who pushed')
  }
  checkRepositoryPattern(pattern)
  return { subject: parseSubject(subject), role, pattern }
}

/**
 * Reads a subject: `@anonymous`, `@all` or a username.
 *
 * @throws GitgateError `invalid`
 */
export function parseSubject(text: string): Subject {
  if (text === '@anonymous' || text === '@all') return text
  if (text.startsWith('@')) {
    throw new GitgateError('invalid', `"${printable(text)}" is not a subject; pass a username, @all or @anonymous`)
  }
  checkUsername(text)
  return text.toLowerCase()
}
