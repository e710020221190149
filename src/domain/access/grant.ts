import type { AuditContext } from '../audit/event.js'
import type { Account } from '../accounts/account.js'
import { checkUsername } from '../accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { checkRepositoryPattern, repositoryMatcher } from '../../protocol/pattern.js'

/** What a grant allows. Each role includes those before it. */
export type Role = 'read' | 'write' | 'admin'

/** Who gets a grant: everybody, every account, or one account. */
export type Subject = '@anonymous' | '@all' | (string & {})

/** Gives a subject a role on the repositories that match a pattern. */
export type Grant = {
  readonly id: number
  readonly subject: Subject
  readonly role: Role
  readonly pattern: string
}

/** One page of a list, and the length of the list. */
export type GrantPage = { readonly grants: readonly Grant[]; readonly total: number }

/** Stores grants. */
export interface GrantStore {
  /** Adds a grant, or changes the role of the one with the same subject and pattern. */
  put(context: AuditContext, grant: Omit<Grant, 'id'>, now: Date): Promise<Grant>
  /** @returns false if there was none */
  remove(context: AuditContext, subject: Subject, pattern: string): Promise<boolean>
  list(): Promise<Grant[]>
  /** A page of the grants whose subject or pattern contains a text, ignoring case; sorted by pattern. */
  search(text: string, window: { readonly offset: number; readonly limit: number }): Promise<GrantPage>
  find(subject: Subject, pattern: string): Promise<Grant | undefined>
  /** The grants of these subjects. Usernames are compared ignoring case. */
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

/** The subjects whose grants apply to an account, or to anonymous clients. */
export function subjectsOf(account: Pick<Account, 'username'> | undefined): Subject[] {
  return account === undefined ? ['@anonymous'] : ['@anonymous', '@all', account.username.toLowerCase()]
}

/** A grant with its compiled pattern. */
export type ReadyGrant = { readonly grant: Grant; readonly matches: (path: RepositoryPath) => boolean }

/** Compiles a grant's pattern, to match many paths. */
export function readyGrant(grant: Grant): ReadyGrant {
  return { grant, matches: repositoryMatcher(grant.pattern) }
}

/**
 * The strongest role that grants give on a repository. Administrators get none by default: they administer accounts, but
 * can't read every repository.
 *
 * @param grants of {@link subjectsOf} the account
 * @param ownsGroup whether accounts are admins of the group with their own name, as on the embedded server
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
 * Parses the parts of a grant as users type them.
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
 * Parses a subject: `@anonymous`, `@all` or a username.
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
