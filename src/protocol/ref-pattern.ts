import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import { matchesWildcard } from '../wildcard.js'
import { isRefName } from './ref-name.js'

/**
 * Reads a pattern of refs, in which `*` stands for any characters, `/` among them. Short ones are branches: `agent/*` is
 * `refs/heads/agent/*`.
 *
 * @throws GitgateError `invalid`
 */
export function parseRefPattern(text: string): string {
  const pattern = text.startsWith('refs/') ? text : `refs/heads/${text}`
  // With the wildcards filled in it must be a ref, or it could never match one.
  if (isRefName(pattern.replaceAll('*', 'x'))) return pattern
  throw new GitgateError(
    'invalid',
    `"${printable(text)}" is not a pattern of refs; write main, agent/* (branches, at any depth) or refs/tags/v*`,
  )
}

/** Whether a ref is one of a pattern's. Letters count in their case. */
export function matchesRef(pattern: string, ref: string): boolean {
  return matchesWildcard(pattern, ref, '*')
}
