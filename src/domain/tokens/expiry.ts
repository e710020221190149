import { DAY, HOUR, MINUTE, SECOND, utcDate } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'

/** The requested expiry: a time, never, or `undefined` for the default of the current rules. */
export type WantedExpiry = Date | 'never' | undefined

const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY }
const LAST_YEAR = 9999

/**
 * Parses a date such as `2027-01-31`: 00:00 UTC, when that day begins.
 *
 * @throws GitgateError `invalid` if the calendar has no such date
 */
export function parseExpiryDate(text: string): Date {
  const date = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00.000Z`) : undefined
  // `2026-02-30` would silently become the 2nd of March.
  if (date === undefined || Number.isNaN(date.getTime()) || utcDate(date) !== text) {
    throw new GitgateError('invalid', `"${printable(text)}" is not a date; use YYYY-MM-DD`)
  }
  return date
}

/**
 * Parses a length of time such as `90s`, `15m`, `12h`, `30d`.
 *
 * @returns milliseconds
 * @throws GitgateError `invalid`
 */
export function parseSpan(text: string): number {
  const now = new Date(0)
  const end = parseExpirySpan(text, now)
  if (end === 'never') throw new GitgateError('invalid', 'this duration can\'t be "never"; use 15m, 12h or 30d')
  return end.getTime()
}

/**
 * Parses a start: a date, a time, or an age such as `7d`.
 *
 * @throws GitgateError `invalid`
 */
export function parseSince(text: string, now: Date): Date {
  if (/^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/.test(text)) {
    const instant = new Date(text)
    // JavaScript reads 31 February as 3 March.
    if (!Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(text.slice(0, 10))) return instant
  } else if (/^\d+[smhd]$/.test(text)) return new Date(now.getTime() - parseSpan(text))
  throw new GitgateError(
    'invalid',
    `"${printable(text)}" is not a time; use 2026-01-31, 2026-01-31T08:00:00Z, or an age such as 12h or 30d`,
  )
}

/**
 * Parses a span such as `90s`, `15m`, `12h`, `30d`, or `never`.
 *
 * @throws GitgateError `invalid`
 */
export function parseExpirySpan(text: string, now: Date): Date | 'never' {
  if (text === 'never') return 'never'
  const [, digits, unit] = /^([1-9]\d{0,9})([smhd])$/.exec(text) ?? []
  const milliseconds = digits === undefined || unit === undefined ? Number.NaN : Number(digits) * (UNITS[unit] ?? 0)
  const expiry = new Date(now.getTime() + milliseconds)
  if (Number.isNaN(expiry.getTime()) || expiry.getUTCFullYear() > LAST_YEAR) {
    throw new GitgateError('invalid', `"${printable(text)}" is not a duration; use 90s, 15m, 12h, 30d or never`)
  }
  return expiry
}
