import { GitgateError } from '../errors.js'
import { printable } from '../printable.js'
import { parseSpan } from '../tokens/expiry.js'

/**
 * Reads when something begins: a date, an instant, or how long ago, such as `7d`.
 *
 * @param option which option it is, for the message
 * @throws GitgateError `usage`
 */
export function parseSince(option: string, text: string, now: Date): Date {
  if (/^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/.test(text)) {
    const instant = new Date(text)
    if (!Number.isNaN(instant.getTime())) return instant
  } else if (/^\d+[smhd]$/.test(text)) return new Date(now.getTime() - parseSpan(text))
  throw new GitgateError(
    'usage',
    `${option}: "${printable(text)}" is no time; write 2026-01-31, 2026-01-31T08:00:00Z, or how long ago: 12h, 30d`,
  )
}
