/** Tells the time. Everything that depends on it is handed one, so that tests can move it. */
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

/** An instant for people who must know it exactly: `2026-11-24 05:31:07 UTC`. */
export function utcTime(instant: Date): string {
  return `${instant.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
