import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { wildcardMatcher } from '../core/wildcard.js'
import { checkPatternLimits } from './pattern-limits.js'
import type { RepositoryPath } from './repository-path.js'
import { parseRepositoryPath } from './repository-path.js'

/**
 * Checks a pattern of repository paths: segments of a path in which `*` stands for any characters of one segment, and
 * `**` alone for segments in any number.
 *
 * @throws GitgateError `invalid`
 */
export function checkRepositoryPattern(pattern: string): void {
  // Without a wildcard it is a path, which has a limit of its own and costs one comparison.
  if (pattern.includes('*')) checkPatternLimits('repository pattern', pattern)
  // With the wildcards filled in it must be a path, or it could never match one.
  const segments = pattern.split('/').map((segment) => (segment === '**' ? 'any' : segment.replaceAll('*', 'x')))
  if (/\*\*[^/]|[^/]\*\*/.test(pattern) || parseRepositoryPath(segments.join('/')) === undefined) {
    throw new GitgateError(
      'invalid',
      `"${printable(pattern)}" is not a pattern of repositories; write team/app, team/* (one level) or team/** (any depth), without .git`,
    )
  }
}

/**
 * Prepares a pattern for matching paths. Letters count in their case, as they do on disk. The segments of the pattern are the
 * states of an automaton, each a bit, so that a segment of the path is read once whatever the pattern (Baeza-Yates and
 * Gonnet: shift-and).
 */
export function repositoryMatcher(pattern: string): (path: RepositoryPath) => boolean {
  if (!pattern.includes('*')) return (path) => path === pattern
  const segments = pattern.split('/')
  // `a/**` is all below a, but not a itself; `a/**/b` is also a/b.
  if (segments.at(-1) === '**') segments.push('*')
  const literals = new Map<string, bigint>()
  const wild: { readonly state: bigint; readonly matches: (segment: string) => boolean }[] = []
  let loops = 0n
  let state = 1n
  for (const segment of segments) {
    if (segment === '**') {
      loops |= state
      continue
    }
    if (segment.includes('*')) wild.push({ state, matches: wildcardMatcher(segment) })
    else literals.set(segment, (literals.get(segment) ?? 0n) | state)
    state <<= 1n
  }
  const end = state
  return (path) => {
    let states = 1n
    for (const segment of path.split('/')) {
      let fitting = literals.get(segment) ?? 0n
      for (const { state, matches } of wild) if ((states & state) !== 0n && matches(segment)) fitting |= state
      states = ((states & fitting) << 1n) | (states & loops)
      if (states === 0n) return false
    }
    return (states & end) !== 0n
  }
}
