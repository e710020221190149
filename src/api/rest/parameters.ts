import { Type } from 'typebox'
import { badParameter } from './api-errors.js'

/** An ID in a path. Anything else there is a parameter error, as in GitLab. */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'a number' })

/** Pagination parameters. */
export const Page = {
  page: Type.Optional(Type.Integer({ default: 1, description: 'page number, starting at 1' })),
  per_page: Type.Optional(Type.Integer({ default: 20, description: 'entries on a page, 100 at most' })),
}

/** A date such as `2027-01-31`; `null` for none. */
export const NullableDate = Type.Unsafe<string | null>({
  type: ['string', 'null'],
  maxLength: 32,
  description: 'YYYY-MM-DD: over when that day begins in UTC',
})

/** The minimum access level of the caller. */
export const MinAccessLevel = Type.Optional(
  Type.Integer({ description: "one of GitLab's numbers: 20 read, 30 write, 40 admin" }),
)

/** A display name. */
export const Name = Type.String({ maxLength: 1_000, description: 'a name' })

/** An instant or a date that bounds a list. */
export const Instant = Type.String({ maxLength: 64, description: 'ISO 8601, or a date: 00:00 UTC of that day' })

const ISO_8601 = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/

/**
 * Parses an instant or a date.
 *
 * @throws ApiError `<name> is invalid`
 */
export function parseInstant(name: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const iso = ISO_8601.test(text) ? text.replace(' ', 'T') : ''
  const date = new Date(iso.includes('T') && !/(Z|[+-]\d{2}:?\d{2})$/.test(iso) ? `${iso}Z` : iso)
  // JavaScript silently reads `2026-02-30` as the 2nd of March.
  const isOfCalendar = !Number.isNaN(date.getTime()) && !Number.isNaN(calendarDay(text))
  if (!isOfCalendar) throw badParameter(name)
  return date
}

/** The parameters of a query or a form; `name[]` is an element of a list. */
export function parseForm(text: string): Record<string, string | string[]> {
  const parameters = new Map<string, string | string[]>()
  for (const [key, value] of new URLSearchParams(text)) {
    const name = key.replace(/\[\d*\]$/, '')
    const before = parameters.get(name)
    const isList = name !== key
    if (!isList) parameters.set(name, value)
    else if (Array.isArray(before)) before.push(value)
    else parameters.set(name, [value])
  }
  parameters.delete('__proto__')
  return Object.fromEntries(parameters)
}

function calendarDay(text: string): number {
  const day = text.slice(0, 10)
  const date = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) ? date.getTime() : Number.NaN
}
