import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { RepositorySet } from '../../protocol/repository-sets.js'
import { combined, isIn, RepositorySets, sizeOf } from '../../protocol/repository-sets.js'
import type { RepositoryLimits } from '../tokens/restriction.js'
import type { Grant, Role } from './grant.js'
import { includes, subjectsOf } from './grant.js'

/** How many repositories an account or token can read, and how many of those it can write. */
export type AccessibleCount = { readonly read: number; readonly write: number }

type SetByRole = Readonly<Record<Role, RepositorySet>>

/** The repositories of the embedded server that accounts and tokens can access: `effectiveRole` for all of them at once. */
export class AccessibleRepositories {
  readonly #paths: readonly RepositoryPath[]
  readonly #sets: RepositorySets
  readonly #grants = new Map<string, Grant[]>()
  readonly #ofSubjects = new Map<string, SetByRole>()
  readonly #ofAccounts = new Map<string, SetByRole>()
  readonly #counts = new Map<string, AccessibleCount>()

  /** @param paths all repositories, sorted  @param grants of the accounts in question */
  constructor(paths: readonly RepositoryPath[], grants: readonly Grant[]) {
    this.#paths = paths
    this.#sets = RepositorySets.of(paths)
    for (const grant of grants) {
      const subject = grant.subject.toLowerCase()
      const known = this.#grants.get(subject)
      if (known === undefined) this.#grants.set(subject, [grant])
      else known.push(grant)
    }
  }

  /** Call it before using patterns that a user wrote, so that other requests don't have to wait. */
  async prepare(limits: RepositoryLimits): Promise<void> {
    await this.#sets.prepare(limits.repositories)
    if (limits.within !== null) await this.prepare(limits.within)
  }

  /** The repositories that an account can access, with its role, sorted. @param limits of a token, which narrow it */
  list(username: string, limits?: RepositoryLimits): { readonly path: RepositoryPath; readonly role: Role }[] {
    const { read, write, admin } = this.#narrowed(username, limits)
    return this.#paths.flatMap((path, at) =>
      isIn(read, at) ? [{ path, role: isIn(admin, at) ? 'admin' : isIn(write, at) ? 'write' : 'read' }] : [],
    )
  }

  /** How many repositories an account can access. @param limits of a token, which narrow it */
  count(username: string, limits?: RepositoryLimits): AccessibleCount {
    const key = JSON.stringify([username, limits?.repositories, limits?.within])
    const known = this.#counts.get(key)
    if (known !== undefined) return known
    const { read, write } = this.#narrowed(username, limits)
    const count = { read: sizeOf(read), write: sizeOf(write) }
    this.#counts.set(key, count)
    return count
  }

  #narrowed(username: string, limits: RepositoryLimits | undefined): SetByRole {
    const ofAccount = this.#ofAccount(username)
    const within = limits && this.#within(limits)
    return within === undefined ? ofAccount : forEachRole((role) => combined(ofAccount[role], within, 'and'))
  }

  #within({ repositories, within }: RepositoryLimits): RepositorySet | undefined {
    const outer = within === null ? undefined : this.#within(within)
    if (repositories.length === 0) return outer
    const own = this.#sets.matching(repositories)
    return outer === undefined ? own : combined(own, outer, 'and')
  }

  #ofAccount(username: string): SetByRole {
    const known = this.#ofAccounts.get(username)
    if (known !== undefined) return known
    // An account is admin of the group with its own name.
    const own = this.#sets.matching([`${username}/**`])
    const subjects = subjectsOf({ username }).map((subject) => this.#ofSubject(subject))
    const reached = forEachRole((role) =>
      subjects.reduce((set, ofSubject) => combined(set, ofSubject[role], 'or'), own),
    )
    this.#ofAccounts.set(username, reached)
    return reached
  }

  #ofSubject(subject: string): SetByRole {
    const known = this.#ofSubjects.get(subject)
    if (known !== undefined) return known
    const grants = this.#grants.get(subject) ?? []
    const reached = forEachRole((wanted) =>
      this.#sets.matching(grants.filter(({ role }) => includes(role, wanted)).map(({ pattern }) => pattern)),
    )
    this.#ofSubjects.set(subject, reached)
    return reached
  }
}

function forEachRole(setOf: (role: Role) => RepositorySet): SetByRole {
  return { read: setOf('read'), write: setOf('write'), admin: setOf('admin') }
}
