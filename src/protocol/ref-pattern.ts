import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { checkPatternLimits } from './pattern-limits.js'
import { isRefName } from './ref-name.js'

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
    `"${printable(text)}" is not a pattern of refs; write main, agent/* (branches, at any depth) or refs/tags/v*`,
  )
}
