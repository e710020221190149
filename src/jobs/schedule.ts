import { SECOND } from '../core/clock.js'

/** When a job runs. */
export type Schedule = {
  /** The last scheduled time at or before this one. */
  latest(now: Date): Date
  /** The first scheduled time after this one. */
  next(now: Date): Date
}

/** Parses a schedule in cron's format, in UTC: with daylight saving time, one night has no 02:00 and another has two. */
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
