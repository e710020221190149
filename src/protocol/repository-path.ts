import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'

declare const brand: unique symbol

/**
 * The one spelling of a repository inside gitgate: `group/sub/name`, without leading slash and without `.git`. A value of
 * this type has passed {@link parseRepositoryPath}, so it holds no dot segment, no empty segment and no encoding.
 */
export type RepositoryPath = string & { readonly [brand]: 'RepositoryPath' }

/** Whose names count: those that gitgate gives itself, or also those that repositories on other Git servers may have. */
export type NameRule = 'own' | 'upstream'

// A segment plus `.git` must fit a file name, which is 255 bytes on the file systems that Linux is used with.
const MAX_SEGMENT_BYTES = 251
const MAX_PATH_BYTES = 1_024
const SEGMENTS: Readonly<Record<NameRule, RegExp>> = {
  own: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
  // No character that a server may take for an escape, a separator or a wildcard, and no blank that one may trim.
  upstream: /^[\p{L}\p{N}_~+](?:[\p{L}\p{M}\p{N} _.~+@-]*[\p{L}\p{M}\p{N}_.~+@-])?$/u,
}

/**
 * Reads a repository's path as people type it, `group/name`.
 *
 * @param rule `own`: letters and digits of ASCII, `_`, `.` and `-`. `upstream`: also other letters, blanks, `~`, `+` and `@`.
 *   Two spellings of the same letters are one name (Unicode's NFC)
 * @returns the path, or `undefined` where a segment is empty, too long, begins with a dot or a dash, holds another character, or
 *   ends in `.git` or `.lock` (Git keeps both for itself)
 */
export function parseRepositoryPath(text: string, rule: NameRule = 'own'): RepositoryPath | undefined {
  if (text.length > MAX_PATH_BYTES) return undefined
  const path = text.normalize('NFC')
  return path.split('/').every((segment) => isRepositorySegment(segment, rule)) ? (path as RepositoryPath) : undefined
}

/**
 * Reads the path of a repository as it is typed, with or without `.git`.
 *
 * @throws GitgateError `invalid`
 */
export function requireRepositoryPath(text: string, rule: NameRule = 'own'): RepositoryPath {
  const path = parseRepositoryPath(text.replace(/\.git$/, ''), rule)
  if (path !== undefined) return path
  throw new GitgateError(
    'invalid',
    `"${printable(text)}" is not a repository path; use group/name, where each part starts with a letter, digit or _ and contains only these and . and -`,
  )
}

/** Whether one segment may stand in a repository's path. */
function isRepositorySegment(segment: string, rule: NameRule): boolean {
  return (
    Buffer.byteLength(segment) <= MAX_SEGMENT_BYTES &&
    SEGMENTS[rule].test(segment) &&
    !segment.endsWith('.git') &&
    !segment.endsWith('.lock')
  )
}

/** The path as the one of a URL: each segment encoded (RFC 3986). */
export function encodeRepositoryPath(path: RepositoryPath): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

/** The groups that a path stands in, outermost first: `a/b/c` → `a`, `a/b`. */
export function groupsOf(path: RepositoryPath): RepositoryPath[] {
  const segments = path.split('/')
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/') as RepositoryPath)
}

/** Whether a name is that of a repository, or of a group in which there are some. */
export function isNameOfGroup(name: string, repositories: readonly RepositoryPath[]): boolean {
  return repositories.some((path) => path === name || path.startsWith(`${name}/`))
}
