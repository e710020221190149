import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import { matchesRef, parseRefPattern } from '../protocol/ref-pattern.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { checkRepositoryPattern, repositoryMatcher } from '../protocol/repository-pattern.js'

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
  /** Adds one, or changes the one of the same patterns. */
  put(protection: Omit<Protection, 'id'>, now: Date): Promise<Protection>
  /** @returns false when there was none */
  remove(repositories: string, refs: string): Promise<boolean>
  list(): Promise<Protection[]>
}

/** A protection with its patterns made ready. */
export type ReadyProtection = {
  readonly protection: Protection
  readonly matches: (repository: RepositoryPath, ref: string) => boolean
}

/**
 * Makes a protection ready to be compared. Letters count the same in either case: `Main` beside a protected `main` would be
 * taken for it, and is it where a clone's file system knows no case.
 */
export function readyProtection(protection: Protection): ReadyProtection {
  const covers = repositoryMatcher(withoutCase(protection.repositories))
  const pattern = withoutCase(protection.refs)
  return {
    protection,
    matches: (repository, ref) =>
      covers(withoutCase(repository) as RepositoryPath) && matchesRef(pattern, withoutCase(ref)),
  }
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
