import { MINUTE, SECOND } from '../core/clock.js'
import { Deliveries } from './deliveries.js'
import { mailerOf } from './mail.js'
import type { JobsOptions } from './jobs-options.js'
import { repeat } from '../core/repeat.js'
import { Scheduler } from './scheduler.js'

/** Jobs that run by themselves. */
export type RunningJobs = {
  /** Begins nothing more, and waits for what is under way. */
  close(): Promise<void>
}

// What is being sent when the gate ends gets so long.
const GRACE = 5 * SECOND
// Mails that have waited too long are looked for so often.
const LOOK_FOR_OLD_EVERY = 10 * MINUTE

/**
 * Runs jobs by their schedule, and sends the notices that are due, until it is closed.
 *
 * @param pollMs milliseconds between two looks for what is due
 */
export function startJobs(options: JobsOptions, pollMs: number): RunningJobs {
  const { log } = options
  const cutting = new AbortController()
  let isClosed = false
  const isEnding = (): boolean => isClosed
  const scheduler = new Scheduler(options)
  const deliveries = new Deliveries(options, mailerOf(options), cutting.signal)
  let lookForOldAt = -Infinity
  const looking = repeat(
    pollMs,
    () => scheduler.look(isEnding),
    (error) => log?.error({ err: error }, 'jobs were not looked at; will try again'),
  )
  const delivering = repeat(
    pollMs,
    async () => {
      const now = options.clock().getTime()
      if (lookForOldAt === -Infinity) await warnOfWaitingMails(options)
      // Or where the clock was ahead at the last look.
      if (now >= lookForOldAt || lookForOldAt - now > LOOK_FOR_OLD_EVERY) {
        await deliveries.dropOldMails()
        lookForOldAt = now + LOOK_FOR_OLD_EVERY
      }
      await deliveries.deliver(isEnding)
    },
    (error) => log?.error({ err: error }, 'notices were not sent; will try again'),
  )
  return {
    async close() {
      isClosed = true
      const timer = setTimeout(() => cutting.abort(), GRACE)
      await Promise.all([looking.stop(), delivering.stop()])
      clearTimeout(timer)
    },
  }
}

async function warnOfWaitingMails({ config, store, log }: JobsOptions): Promise<void> {
  if (config.smtp !== undefined) return
  const { mails } = await store.notices.waiting()
  if (mails > 0)
    log?.warn({ mails }, 'mails wait for a mail server: set GITGATE_SMTP_URL; after seven days they are dropped')
}
