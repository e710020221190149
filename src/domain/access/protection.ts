import type { AuditContext } from '../audit/event.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import { parseRefPattern, checkRepositoryPattern, repositoryMatcher, wildcardMatcher } from '../../protocol/pattern.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'

/** Who may change a protected ref: everyone who may push to the repository, only its admins, or nobody. */
export type ProtectionLevel = (typeof LEVELS)[number]

const LEVELS = ['write', 'admin', 'nobody'] as const

/** Protects the refs that match a pattern, in the repositories that match another, for every account and token. */
export type Protection = {
  readonly id: number
  readonly repositories: string
  readonly refs: string
  /** Creating and updating them. */
  readonly push: ProtectionLevel
  /** Updates that aren't fast-forwards; these need the right to push, too. */
  readonly force: ProtectionLevel
  readonly delete: ProtectionLevel
}

/** Stores protections. */
export interface ProtectionStore {
  /**
   * Adds a protection, or changes the one with the same patterns.
   *
   * @throws GitgateError `conflict` if the repository pattern has 500 already
   */
  put(context: AuditContext, protection: Omit<Protection, 'id'>, now: Date): Promise<Protection>
  /** @returns false if there was none */
  remove(context: AuditContext, repositories: string, refs: string): Promise<boolean>
  list(): Promise<Protection[]>
  /** The protections that may cover a repository: their pattern is its path, ignoring case, or has a wildcard. */
  listFor(repository: RepositoryPath): Promise<Protection[]>
}

/** Finds the protections of one repository that cover a ref. */
export type RefProtections = ((ref: string) => readonly Protection[]) & {
  /** Whether there are none. */
  readonly isEmpty: boolean
}

/**
 * Prepares the protections of one repository for the refs of a push. Case is ignored: people mistake `Main` for a protected
 * `main`, and on a case-insensitive file system they are the same ref. Patterns without a wildcard are found by name, so that
 * a push of 20,000 refs costs no more if 500 branches are protected.
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

/** Lower case, then upper case: either alone keeps some letters apart, such as the Greek sigmas, or ß. */
function withoutCase(text: string): string {
  return text.toLowerCase().toUpperCase()
}

/**
 * Parses a protection as users type it.
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
