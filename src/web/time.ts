import { DAY, HOUR, MINUTE, SECOND, utcTime } from '../core/clock.js'

const UNITS = [
  ['year', 365 * DAY],
  ['month', 30 * DAY],
  ['week', 7 * DAY],
  ['day', DAY],
  ['hour', HOUR],
  ['minute', MINUTE],
  ['second', SECOND],
] as const
// Weeks are no unit that one counts in beyond a month; "45 days" says more than "in 6 weeks".
const COUNTED_IN_DAYS = 100 * DAY
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' })
const calendar = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })

/** An instant as people say it: `2 hours ago`, `in 90 days`. */
export function relativeTime(instant: Date, now: Date): string {
  const difference = instant.getTime() - now.getTime()
  const distance = Math.abs(difference)
  if (distance < 45 * SECOND) return difference > 0 ? 'in a moment' : 'just now'
  if (distance >= DAY && distance < COUNTED_IN_DAYS) return relative.format(Math.round(difference / DAY), 'day')
  const [unit, length] = UNITS.find(([, size]) => distance >= size) ?? ['second', SECOND]
  return relative.format(Math.round(difference / length), unit)
}

/** `24 Nov 2026`. */
export function calendarDay(instant: Date): string {
  return calendar.format(instant)
}

/** `<time>` with the relative time; the exact one is its title. */
export function timeTag(instant: Date, now: Date): string {
  return tag(instant, relativeTime(instant, now))
}

/** `<time>` with the calendar day; the exact time is its title. */
export function dayTag(instant: Date): string {
  return tag(instant, calendarDay(instant))
}

function tag(instant: Date, text: string): string {
  return `<time datetime="${instant.toISOString()}" title="${utcTime(instant)}">${text}</time>`
}
