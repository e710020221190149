/** Tells the time. Whatever depends on the time takes a clock as a parameter, so that tests can move it. */
export type Clock = () => Date

/** The machine's clock. */
export const systemClock: Clock = () => new Date()

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The calendar date of an instant in UTC, as `YYYY-MM-DD`: the form of GitLab's `expires_at`. */
export function utcDate(instant: Date): string {
  return instant.toISOString().slice(0, 10)
}

/** An exact instant, for people: `2026-11-24 05:31:07 UTC`. */
export function utcTime(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

const UNITS = [
  ['year', 365 * DAY],
  ['month', 30 * DAY],
  ['day', DAY],
  ['hour', HOUR],
  ['minute', MINUTE],
  ['second', SECOND],
] as const
// "45 days" says more than "in 6 weeks".
const COUNTED_IN_DAYS = 100 * DAY
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' })

/** An instant relative to now: `2 hours ago`, `in 90 days`. */
export function relativeTime(instant: Date, now: Date): string {
  const difference = instant.getTime() - now.getTime()
  const distance = Math.abs(difference)
  if (distance < 45 * SECOND) return difference > 0 ? 'in a moment' : 'just now'
  if (distance >= DAY && distance < COUNTED_IN_DAYS) return relative.format(Math.round(difference / DAY), 'day')
  const [unit, length] = UNITS.find(([, size]) => distance >= size) ?? ['second', SECOND]
  return relative.format(Math.round(difference / length), unit)
}
