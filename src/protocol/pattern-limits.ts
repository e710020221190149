import { GitgateError } from '../core/errors.js'
import { printable } from '../core/printable.js'
import { countWildcards } from '../core/wildcard.js'

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
