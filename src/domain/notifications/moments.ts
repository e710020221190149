import { DAY, utcDate } from '../../core/clock.js'

/** In how many days an instant is, by the calendar in UTC: 0 is today, 1 tomorrow; negative in the past. */
export function daysLeft(instant: Date, now: Date): number {
  return Math.floor(instant.getTime() / DAY) - Math.floor(now.getTime() / DAY)
}

/** An instant as people read it: `2026-06-18 at 00:00 UTC`. */
export function inWords(instant: Date): string {
  return `${utcDate(instant)} at ${instant.toISOString().slice(11, 16)} UTC`
}

/** When a token ends: `in 3 days, on 2026-06-18 at 00:00 UTC`. */
export function endInWords(expiresAt: Date | null, now: Date): string {
  if (expiresAt === null) return 'never'
  if (expiresAt <= now) return `expired on ${inWords(expiresAt)}`
  return `${daysInWords(daysLeft(expiresAt, now))}, on ${inWords(expiresAt)}`
}

/** A number of days to come: `today`, `in 1 day`, `in 3 days`. */
export function daysInWords(days: number): string {
  if (days <= 0) return 'today'
  return days === 1 ? 'in 1 day' : `in ${days} days`
}
