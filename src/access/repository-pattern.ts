import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { parseRepositoryPath } from '../protocol/repository-path.js'

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
  return (path) => matches(wanted, path.split('/'), '**', matchesSegment)
}

function matchesSegment(pattern: string, segment: string): boolean {
  return matches(pattern, segment, '*', (one, other) => one === other)
}

/**
 * Whether all of a text is what a pattern says, in which a wildcard stands for any run of elements. Only the last
 * wildcard is ever tried again, so that the time is the product of the lengths at most: a regular expression took hours
 * for `*a*a*a*b` and a path of many a.
 */
function matches<T>(
  pattern: ArrayLike<T>,
  text: ArrayLike<T>,
  wildcard: T,
  fits: (pattern: T, element: T) => boolean,
): boolean {
  let [at, p, retryAt, retryP] = [0, 0, 0, -1]
  while (at < text.length) {
    if (p < pattern.length && pattern[p] === wildcard) {
      retryP = p++
      retryAt = at
    } else if (p < pattern.length && fits(pattern[p] as T, text[at] as T)) {
      p++
      at++
    } else if (retryP !== -1) {
      p = retryP + 1
      at = ++retryAt
    } else {
      return false
    }
  }
  while (p < pattern.length && pattern[p] === wildcard) p++
  return p === pattern.length
}
