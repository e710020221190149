import { SECOND } from '../clock.js'
import { Deliveries } from './deliveries.js'
import { mailerOf } from './mail.js'
import type { JobsOptions } from './options.js'
import { repeat } from './repeat.js'
import { Scheduler } from './scheduler.js'

/** Jobs that run by themselves. */
export type RunningJobs = {
  /** Begins nothing more, and waits for what is under way. */
  close(): Promise<void>
}

// What is being sent when the gate ends gets so long.
const GRACE = 5 * SECOND
// Looks for mails that have waited too long: every ten minutes.
const LOOKS_FOR_OLD = 600

/** Runs jobs by their schedule, and sends the notices that are due, until it is closed. */
export function startJobs(options: JobsOptions): RunningJobs {
  const { log } = options
  const cutting = new AbortController()
  let isClosed = false
  const isEnding = (): boolean => isClosed
  const scheduler = new Scheduler(options)
  const deliveries = new Deliveries(options, mailerOf(options), cutting.signal)
  let looks = 0
  const looking = repeat(
    () => scheduler.look(isEnding),
    (error) => log?.error({ err: error }, 'jobs were not looked at; will try again'),
  )
  const delivering = repeat(
    async () => {
      if (looks === 0) await warnOfWaitingMails(options)
      if (looks % LOOKS_FOR_OLD === 0) await deliveries.dropOldMails()
      looks += 1
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
