import { SECOND } from '../core/clock.js'

/** Tells when a job is to run. */
export type Schedule = {
  /** The last instant at or before another at which it was to run. */
  latest(now: Date): Date
  /** The first instant after another. */
  next(now: Date): Date
}

/** Reads a schedule as cron writes it, in UTC: daylight saving would have a night without 02:00, and one with two. */
export async function readSchedule(pattern: string): Promise<Schedule> {
  // Loaded here, so that commands that run no jobs start without it.
  const { Cron } = await import('croner')
  // By its offset: a zone by its name has Node load the zones of the world, 8 MB (measured).
  const cron = new Cron(pattern, { utcOffset: 0, paused: true })
  const expect = (instant: Date | null | undefined): Date => {
    if (instant === null || instant === undefined) throw new TypeError(`the schedule ${pattern} has no such instant`)
    return instant
  }
  return {
    // croner counts whole seconds, and looks strictly before.
    latest: (now) => expect(cron.previousRuns(1, new Date((Math.floor(now.getTime() / SECOND) + 1) * SECOND))[0]),
    next: (now) => expect(cron.nextRun(now)),
  }
}
