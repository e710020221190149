import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import { matchesWildcard } from '../wildcard.js'
import type { RepositoryPath } from './repository-path.js'
import { parseRepositoryPath } from './repository-path.js'

/**
 * Checks a pattern of repository paths: segments of a path in which `*` stands for any characters of one segment, and
 * `**` alone for segments in any number.
 *
 * @throws GitgateError `invalid`
 */
export function checkRepositoryPattern(pattern: string): void {
  // With the wildcards filled in it must be a path, or it could never match one.
  const segments = pattern.split('/').map((segment) => (segment === '**' ? 'any' : segment.replaceAll('*', 'x')))
  if (/\*\*[^/]|[^/]\*\*/.test(pattern) || parseRepositoryPath(segments.join('/')) === undefined) {
    throw new GitgateError(
      'invalid',
      `"${printable(pattern)}" is not a pattern of repositories; write team/app, team/* (one level) or team/** (any depth), without .git`,
    )
  }
}

/** A pattern made ready to be compared with paths. Letters count in their case, as they do on disk. */
export function repositoryMatcher(pattern: string): (path: RepositoryPath) => boolean {
  const segments = pattern.split('/')
  // `a/**` is all below a, but not a itself; `a/**/b` is also a/b.
  const wanted = segments.at(-1) === '**' ? [...segments, '*'] : segments
  return (path) => matchesWildcard(wanted, path.split('/'), '**', matchesSegment)
}

function matchesSegment(pattern: string, segment: string): boolean {
  return matchesWildcard(pattern, segment, '*')
}
