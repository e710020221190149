import { randomUUID } from 'node:crypto'
import { GitgateError } from '../core/errors.js'
import { testPost } from '../domain/notifications/webhook.js'
import { printable } from '../core/printable.js'
import type { Secret } from '../core/secret.js'
import { Deliveries } from './deliveries.js'
import type { JobName } from './jobs.js'
import { doJob, hasNoChannel, writesNotifications, JOB_NAMES, JOBS, NO_CHANNEL } from './jobs.js'
import { mailerOf } from './mail.js'
import type { JobRun, JobsOptions } from './jobs-options.js'
import { postToWebhook } from './post.js'
import { readSchedule } from './schedule.js'

// How long the command waits for a gate that is sending: a minute.
const MAX_POLLS = 300
const POLL_INTERVAL_MS = 200

/** A job, as lists show it. */
export type ListedJob = {
  readonly name: string
  readonly schedule: string
  readonly summary: string
  /** Whether it writes notifications, which running it also sends. */
  readonly writesNotifications: boolean
  readonly run: JobRun | undefined
  readonly next: Date
}

/** All jobs, with their last and next runs. */
export async function listJobs({ store, clock }: JobsOptions): Promise<ListedJob[]> {
  const listed = JOB_NAMES.map(async (name) => {
    const { schedule, summary } = JOBS[name]
    const next = (await readSchedule(schedule)).next(clock())
    return {
      name,
      schedule,
      summary,
      writesNotifications: writesNotifications(name),
      run: await store.jobRuns.find(name),
      next,
    }
  })
  return await Promise.all(listed)
}

/**
 * Runs a job now. A job that writes notifications also sends all that are pending.
 *
 * @throws GitgateError `usage` if there is no such job, `configuration` if no channel is configured, `delivery` if not all
 *   notifications were accepted; the others are sent later
 */
export async function runJob(text: string, options: JobsOptions): Promise<{ name: string; outcome: string }> {
  const name = parseJobName(text)
  const { store, clock } = options
  const started = clock()
  if (writesNotifications(name) && (await hasNoChannel(options))) throw new GitgateError('configuration', NO_CHANNEL)
  const outcome = await doJob(name, options)
  await store.jobRuns.write(name, started, true, outcome)
  return { name, outcome: writesNotifications(name) ? `${outcome}, ${await sendAll(options, started)}` : outcome }
}

function parseJobName(text: string): JobName {
  // Scripts may still use the names of 0.1.0: expiry-notice and expired-notice.
  const name = JOB_NAMES.find((one) => one === text.replace(/-notice$/, '-notification'))
  if (name !== undefined) return name
  throw new GitgateError('usage', `there is no job "${printable(text)}"; the jobs are ${JOB_NAMES.join(', ')}`)
}

async function sendAll(options: JobsOptions, started: Date): Promise<string> {
  const { notifications } = options.store
  const deliveries = new Deliveries(options, mailerOf(options), new AbortController().signal)
  const refused: string[] = []
  let accepted = 0
  for (let polls = 0; ; polls += 1) {
    const sent = await deliveries.deliver(() => false, started)
    accepted += sent.accepted
    refused.push(...sent.refused)
    // A running gate may have leased some of them, so wait until their outcome is known, too.
    if ((await notifications.countLeased(options.clock())) === 0) break
    if (polls === MAX_POLLS)
      throw new GitgateError('delivery', 'a gate is still sending notifications; see gitgate jobs list')
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
  }
  const failed = await notifications.failedSince(started)
  if (failed.count > 0) {
    throw new GitgateError(
      'delivery',
      `${failed.count === 1 ? '1 notification was' : `${failed.count} notifications were`} not accepted; the gate will retry: ${failed.lastError ?? ''}`,
    )
  }
  if (refused.length > 0)
    throw new GitgateError(
      'delivery',
      `${refused.length === 1 ? '1 notification was' : `${refused.length} notifications were`} permanently rejected: ${refused.join('; ')}`,
    )
  return `${accepted} sent`
}

/** Posts a test event to a webhook.
 * @throws GitgateError `delivery` if it was not accepted
 */
export async function testWebhook(
  { url, secret }: { readonly url: string; readonly secret: Secret },
  now: Date,
): Promise<void> {
  const attempt = await postToWebhook(url, testPost(randomUUID(), secret, now), new AbortController().signal)
  if (attempt.kind !== 'accepted')
    throw new GitgateError('delivery', `the webhook did not accept it: ${attempt.reason}`)
}
