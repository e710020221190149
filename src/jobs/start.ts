import { MINUTE, SECOND } from '../core/clock.js'
import { Deliveries } from './deliveries.js'
import { mailerOf } from './mail.js'
import type { JobsOptions } from './jobs-options.js'
import { repeat } from '../core/repeat.js'
import { Scheduler } from './scheduler.js'

/** Jobs that run by themselves. */
export type RunningJobs = {
  /** Starts no more jobs, and waits for running ones. */
  close(): Promise<void>
}

// Deliveries in progress get this long when the gate stops.
const SHUTDOWN_TIMEOUT_MS = 5 * SECOND
// How often mails that waited too long are dropped.
const OLD_MAIL_CHECK_INTERVAL_MS = 10 * MINUTE

/**
 * Runs jobs by their schedule, and sends the notifications that are due, until it is closed.
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
  let nextOldMailCheckAt = -Infinity
  const looking = repeat(
    pollMs,
    () => scheduler.look(isEnding),
    (error) => log?.error({ err: error }, 'checking for due jobs failed; retrying'),
  )
  const delivering = repeat(
    pollMs,
    async () => {
      const now = options.clock().getTime()
      if (nextOldMailCheckAt === -Infinity) await warnOfWaitingMails(options)
      // Or where the clock was ahead at the last look.
      if (now >= nextOldMailCheckAt || nextOldMailCheckAt - now > OLD_MAIL_CHECK_INTERVAL_MS) {
        await deliveries.dropOldMails()
        nextOldMailCheckAt = now + OLD_MAIL_CHECK_INTERVAL_MS
      }
      await deliveries.deliver(isEnding)
    },
    (error) => log?.error({ err: error }, 'sending notifications failed; retrying'),
  )
  return {
    async close() {
      isClosed = true
      const timer = setTimeout(() => cutting.abort(), SHUTDOWN_TIMEOUT_MS)
      await Promise.all([looking.stop(), delivering.stop()])
      clearTimeout(timer)
    },
  }
}

async function warnOfWaitingMails({ config, store, log }: JobsOptions): Promise<void> {
  if (config.smtp !== undefined) return
  const { mails } = await store.notifications.waiting()
  if (mails > 0)
    log?.warn({ mails }, 'emails wait for a mail server; set GITGATE_SMTP_URL. After seven days they are dropped')
}
