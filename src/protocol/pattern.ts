import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
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
  if (/\*\*[^/]|[^/]\*\*/.test(pattern) || parseRepositoryPath(segments.join('/'), 'upstream') !== segments.join('/')) {
    throw new GitgateError(
      'invalid',
      `"${printable(pattern)}" is not a repository pattern; use team/app, team/* (one level) or team/** (any depth), without .git`,
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

/**
 * Reads a pattern of refs that a user writes, in which `*` stands for any characters, `/` among them. Short ones are
 * branches: `agent/*` is `refs/heads/agent/*`.
 *
 * @throws GitgateError `invalid`
 */
export function parseRefPattern(text: string): string {
  const pattern = fullRefPattern(text)
  checkPatternLimits('ref pattern', pattern)
  return pattern
}

/**
 * Like {@link parseRefPattern}, but of any size: to name one ref, or a pattern that was stored by an earlier version.
 *
 * @throws GitgateError `invalid`
 */
export function fullRefPattern(text: string): string {
  const pattern = text.startsWith('refs/') ? text : `refs/heads/${text}`
  // With the wildcards filled in it must be a ref, or it could never match one.
  if (isRefName(pattern.replaceAll('*', 'x'))) return pattern
  throw new GitgateError(
    'invalid',
    `"${printable(text)}" is not a ref pattern; use main, agent/* (branches, at any depth) or refs/tags/v*`,
  )
}

const MAX_PATTERN_BYTES = 256
const MAX_WILDCARDS = 8
const SHOWN_CHARACTERS = 40

/**
 * Bounds what it costs to match a pattern that a user writes. Patterns that were stored by earlier versions may exceed the
 * limits: they are matched and removed as they are.
 *
 * @param field what the pattern is for, such as `ref pattern`
 * @throws GitgateError `invalid`
 */
export function checkPatternLimits(field: string, pattern: string): void {
  const bytes = Buffer.byteLength(pattern)
  const wildcards = countWildcards(pattern)
  const excess =
    bytes > MAX_PATTERN_BYTES
      ? `has ${bytes} bytes; the limit is ${MAX_PATTERN_BYTES}`
      : wildcards > MAX_WILDCARDS
        ? `has ${wildcards} wildcards; the limit is ${MAX_WILDCARDS}`
        : undefined
  if (excess === undefined) return
  const shown = pattern.length > SHOWN_CHARACTERS ? `${pattern.slice(0, SHOWN_CHARACTERS)}…` : pattern
  throw new GitgateError('invalid', `${field} "${printable(shown)}" ${excess}`)
}

/**
 * Compiles a pattern in which `*` matches any characters. Matching takes time linear in pattern and text, because it
 * searches for each literal part once, from left to right. V8's `indexOf` is linear for parts of up to 250 characters (at
 * most 5 ns a character for any of 40 adversarial pairs), and 30 times slower for longer ones. Backtracking took 32 s for
 * 100 patterns such as `*aaa…ab` and 40 kB of `a`.
 */
export function wildcardMatcher(pattern: string): (text: string) => boolean {
  const [prefix = '', ...rest] = pattern.split('*')
  const suffix = rest.pop()
  if (suffix === undefined) return (text) => text === pattern
  const parts = rest.filter((part) => part !== '')
  return (text) => {
    if (!text.startsWith(prefix) || !text.endsWith(suffix)) return false
    let position = prefix.length
    for (const part of parts) {
      const found = text.indexOf(part, position)
      if (found === -1) return false
      position = found + part.length
    }
    return position + suffix.length <= text.length
  }
}

/** The number of wildcards in a pattern; `**` counts as one. */
export function countWildcards(pattern: string): number {
  return pattern.match(/\*+/g)?.length ?? 0
}

// Git's rules for the names of refs (git check-ref-format): no control characters, no space, none of ~ ^ : ? * [ \, no
// `..`, no `@{`, no part that begins with a dot or ends in .lock.
const FORBIDDEN = /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[/.]$/

/** Whether a text is the whole name of a ref, such as `refs/heads/main`. */
export function isRefName(text: string): boolean {
  return /^refs\/./.test(text) && !FORBIDDEN.test(text)
}

/** Whether a ref is a branch. */
export function isBranch(ref: string): boolean {
  return ref.startsWith('refs/heads/')
}
