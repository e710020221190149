import type { AuditContext } from '../audit/event.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import { parseRefPattern, checkRepositoryPattern, repositoryMatcher, wildcardMatcher } from '../../protocol/pattern.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** Who may do something to a protected ref: whoever may push to the repository, its admins only, or nobody. */
export type ProtectionLevel = (typeof LEVELS)[number]

const LEVELS = ['write', 'admin', 'nobody'] as const

/** That refs of a pattern are protected in the repositories of a pattern, for every account and every token. */
export type Protection = {
  readonly id: number
  readonly repositories: string
  readonly refs: string
  /** To create or update them. */
  readonly push: ProtectionLevel
  /** To update them by what is no fast-forward; whoever does that pushes, too. */
  readonly force: ProtectionLevel
  readonly delete: ProtectionLevel
}

/** Where protections are kept. */
export interface ProtectionStore {
  /**
   * Adds one, or changes the one of the same patterns.
   *
   * @throws GitgateError `conflict` where the pattern of repositories has 500 already
   */
  put(context: AuditContext, protection: Omit<Protection, 'id'>, now: Date): Promise<Protection>
  /** @returns false when there was none */
  remove(context: AuditContext, repositories: string, refs: string): Promise<boolean>
  list(): Promise<Protection[]>
  /** Those that may cover a repository: whose pattern is its path in any case of letters, or has a wildcard. */
  listFor(repository: RepositoryPath): Promise<Protection[]>
}

/** The protections of one repository that cover a ref, in the order of their rules. */
export type RefProtections = ((ref: string) => readonly Protection[]) & {
  /** Whether there are none. */
  readonly isEmpty: boolean
}

/**
 * Prepares the protections of one repository for the refs of a push. Letters count the same in either case: `Main` beside a
 * protected `main` would be taken for it, and is it where a clone's file system knows no case. Those without a wildcard are
 * found by name, so that a push of 20,000 refs costs no more where 500 branches are protected.
 */
export function refProtections(repository: RepositoryPath, protections: readonly Protection[]): RefProtections {
  const path = withoutCase(repository) as RepositoryPath
  const covering = protections.filter(({ repositories }) => repositoryMatcher(withoutCase(repositories))(path))
  const named = new Map<string, Protection[]>()
  const patterns: { readonly protection: Protection; readonly matches: (ref: string) => boolean }[] = []
  for (const protection of covering) {
    const pattern = withoutCase(protection.refs)
    if (pattern.includes('*')) patterns.push({ protection, matches: wildcardMatcher(pattern) })
    else named.set(pattern, [...(named.get(pattern) ?? []), protection])
  }
  const find = (ref: string): readonly Protection[] => {
    const name = withoutCase(ref)
    const matching = patterns.filter(({ matches }) => matches(name)).map(({ protection }) => protection)
    return [...(named.get(name) ?? []), ...matching].sort((one, other) => one.id - other.id)
  }
  return Object.assign(find, { isEmpty: covering.length === 0 })
}

/** Down and up again: either alone leaves letters apart that are one, such as the Greek sigmas, or the sharp s. */
function withoutCase(text: string): string {
  return text.toLowerCase().toUpperCase()
}

/**
 * Reads a protection as it is typed.
 *
 * @throws GitgateError `invalid`
 */
export function parseProtection(
  repositories: string,
  refs: string,
  levels: { readonly push: string; readonly force: string; readonly delete: string },
): Omit<Protection, 'id'> {
  checkRepositoryPattern(repositories)
  return {
    repositories,
    refs: parseRefPattern(refs),
    push: parseLevel(levels.push),
    force: parseLevel(levels.force),
    delete: parseLevel(levels.delete),
  }
}

/** A protection in a few words. */
export function describeProtection(protection: Protection): string {
  const { id, repositories, refs, push, force } = protection
  return `${refs} of ${repositories} is protected (rule ${id}): push ${push}, force ${force}, delete ${protection.delete}`
}

function parseLevel(text: string): ProtectionLevel {
  const level = LEVELS.find((level) => level === text)
  if (level !== undefined) return level
  throw new GitgateError('invalid', `"${printable(text)}" is not a level; the levels are ${LEVELS.join(', ')}`)
}
