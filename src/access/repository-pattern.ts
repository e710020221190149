import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import type { RepositoryPath } from '../protocol/repository-path.js'

const SEGMENT = /^[A-Za-z0-9_.*-]+$/
const MAX_LENGTH = 1_024

/**
 * Checks a pattern of repository paths: segments of a path in which `*` stands for any characters of one segment, and
 * `**` alone for segments in any number.
 *
 * @throws GitgateError `invalid`
 */
export function checkRepositoryPattern(pattern: string): void {
  const fits = pattern.length <= MAX_LENGTH && pattern.split('/').every((segment) => SEGMENT.test(segment))
  if (!fits || /\*\*[^/]|[^/]\*\*/.test(pattern) || pattern.endsWith('.git')) {
    throw new GitgateError(
      'invalid',
      `"${printable(pattern)}" is not a pattern of repositories; write team/app, team/* (one level) or team/** (any depth), without .git`,
    )
  }
}

/** A pattern made ready to be compared with paths. Letters count in their case, as they do on disk. */
export function repositoryMatcher(pattern: string): (path: RepositoryPath) => boolean {
  const segments = pattern.split('/')
  const source = segments
    .map((segment, index) => {
      const isLast = index === segments.length - 1
      // `a/**` is all below a, but not a itself; `a/**/b` is also a/b.
      if (segment === '**') return isLast ? '[^/]+(?:/[^/]+)*' : '(?:[^/]+/)*'
      const literal = segment.replaceAll('.', '\\.').replaceAll('*', '[^/]*')
      return isLast ? literal : `${literal}/`
    })
    .join('')
  const expression = new RegExp(`^${source}$`)
  return (path) => expression.test(path)
}
