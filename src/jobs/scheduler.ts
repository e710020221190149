import { HOUR, MINUTE, SECOND } from '../core/clock.js'
import { messageOf } from '../core/errors.js'
import type { JobName } from './jobs.js'
import { doJob, JOB_NAMES, JOBS } from './jobs.js'
import type { JobsOptions } from './jobs-options.js'
import type { Schedule } from './schedule.js'
import { readSchedule } from './schedule.js'

const MAX_RETRY_DELAY_MS = 5 * MINUTE
// Clocks of gates differ a little. A time further ahead comes from a clock that was wrong and has been corrected since.
const CLOCK_TOLERANCE_MS = HOUR

/** A job, and when to check it again. */
type Scheduled = { readonly schedule: Schedule; lookedAt: number; lookAt: number; failures: number }

/** Runs jobs when they are due. The store records when each job last ran, so the next check makes up for a run that was missed
 * while no gate was running, and skips one that another gate has done.
 */
export class Scheduler {
  readonly #options: JobsOptions
  readonly #jobs = new Map<JobName, Scheduled>()

  constructor(options: JobsOptions) {
    this.#options = options
  }

  /** Runs the jobs that are due. @param isEnding whether to start no more */
  async look(isEnding: () => boolean): Promise<void> {
    for (const name of JOB_NAMES) {
      const job = this.#jobs.get(name) ?? {
        schedule: await readSchedule(JOBS[name].schedule),
        lookedAt: -Infinity,
        lookAt: -Infinity,
        failures: 0,
      }
      this.#jobs.set(name, job)
      const now = this.#options.clock()
      if (isEnding()) return
      const isSetBack = now.getTime() < job.lookedAt - CLOCK_TOLERANCE_MS
      if (now.getTime() >= job.lookAt || isSetBack) await this.#runDue(name, job, now)
    }
  }

  async #runDue(name: JobName, job: Scheduled, now: Date): Promise<void> {
    const { store, log } = this.#options
    job.lookedAt = now.getTime()
    try {
      const run = await store.jobRuns.find(name)
      const isAhead = (run?.doneAt?.getTime() ?? 0) > now.getTime() + CLOCK_TOLERANCE_MS
      const doneAt = isAhead ? null : (run?.doneAt ?? null)
      const isFirstLook = job.lookAt === -Infinity
      if (doneAt === null || doneAt < job.schedule.latest(now) || (isFirstLook && 'atStart' in JOBS[name])) {
        const outcome = await doJob(name, this.#options)
        await store.jobRuns.write(name, now, true, outcome)
        log?.debug({ job: name, outcome }, 'job done')
      }
      job.failures = 0
      job.lookAt = job.schedule.next(now).getTime()
    } catch (error) {
      job.lookAt = now.getTime() + Math.min(SECOND * 2 ** job.failures, MAX_RETRY_DELAY_MS)
      job.failures += 1
      log?.error({ err: error, job: name }, 'job failed; retrying')
      await store.jobRuns.write(name, now, false, `failed: ${messageOf(error)}`).catch(() => undefined)
    }
  }
}
