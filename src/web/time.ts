import { relativeTime, utcTime } from '../core/clock.js'

const calendar = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })

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
