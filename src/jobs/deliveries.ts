import { MINUTE, SECOND } from '../core/clock.js'
import type { Logger } from '../server/log.js'
import type { Delivery, NotificationStore, Wanted } from '../domain/notifications/delivery.js'
import { UNSENT_MAIL_RETENTION_MS, retryAfter, unwantedBecause } from '../domain/notifications/delivery.js'
import { webhookPost } from '../domain/notifications/webhook.js'
import type { Attempt, Mailer } from './mail.js'
import { postToWebhook } from './post.js'
import type { JobsOptions } from './jobs-options.js'

/** What became of deliveries that were taken. */
export type Delivered = { accepted: number; failed: number; refused: string[] }

// A batch must be sent within its lease, or another gate sends it, too.
const BATCH_SIZE = 10
const LEASE_MS = 10 * MINUTE
const MAIL_TIMEOUT_MS = 45 * SECOND
// After this many failures in a row the mail server is considered down.
const CONSECUTIVE_FAILURE_LIMIT = 3

/** Sends what is due. Two gates share the work: what one has taken, the other leaves. */
export class Deliveries {
  readonly #notifications: NotificationStore
  readonly #mailer: Mailer | undefined
  readonly #options: Pick<JobsOptions, 'clock' | 'tokensPage'>
  readonly #log: Logger | undefined
  readonly #ending: AbortSignal

  /** @param ending aborted when what is being sent has to end, too */
  constructor(options: JobsOptions, mailer: Mailer | undefined, ending: AbortSignal) {
    this.#notifications = options.store.notifications
    this.#mailer = mailer
    this.#options = options
    this.#log = options.log
    this.#ending = ending
  }

  /**
   * Sends all deliveries that are due.
   *
   * @param isEnding whether to stop before all are sent
   * @param failedBefore also sends those that failed before this time
   */
  async deliver(isEnding: () => boolean, failedBefore?: Date): Promise<Delivered> {
    const sum: Delivered = { accepted: 0, failed: 0, refused: [] }
    while (!isEnding()) {
      const deliveries = await this.#notifications.take(this.#wanted(failedBefore))
      if (deliveries.length === 0) return sum
      await this.#sendAll(deliveries, sum, isEnding)
    }
    return sum
  }

  /** Without a mail server, mails that waited for one too long are dropped. */
  async dropOldMails(): Promise<void> {
    if (this.#mailer !== undefined) return
    const before = new Date(this.#options.clock().getTime() - UNSENT_MAIL_RETENTION_MS)
    const dropped = await this.#notifications.dropMails(before)
    if (dropped > 0) this.#log?.warn({ dropped }, 'dropped mails that waited seven days for GITGATE_SMTP_URL')
  }

  #wanted(failedBefore: Date | undefined): Wanted {
    const now = this.#options.clock()
    return {
      now,
      leasedUntil: new Date(now.getTime() + LEASE_MS),
      mail: this.#mailer !== undefined,
      limit: BATCH_SIZE,
      ...(failedBefore === undefined ? {} : { failedBefore }),
    }
  }

  /** Mails one after the other, since they go to one server; webhooks beside them. */
  async #sendAll(deliveries: readonly Delivery[], sum: Delivered, isEnding: () => boolean): Promise<void> {
    const mails = deliveries.filter(({ channel }) => channel.kind === 'mail')
    const posts = deliveries.filter(({ channel }) => channel.kind === 'webhook')
    const sendMails = async (): Promise<void> => {
      // Once one finds the server down, the others don't wait for its timeout again.
      let down: Attempt | undefined
      let inARow = 0
      for (const mail of mails) {
        if (isEnding()) {
          await this.#notifications.release(mail)
          continue
        }
        const attempt = down ?? (await this.#try(mail))
        inARow = attempt.kind === 'failed' ? inARow + 1 : 0
        if (attempt.kind === 'failed' && (attempt.isDown || inARow === CONSECUTIVE_FAILURE_LIMIT)) down = attempt
        await this.#record(mail, attempt, sum)
      }
    }
    const post = async (delivery: Delivery): Promise<void> => {
      await this.#record(delivery, await this.#try(delivery), sum)
    }
    await Promise.all([sendMails(), ...posts.map(post)])
  }

  async #try(delivery: Delivery): Promise<Attempt> {
    const unwanted = unwantedBecause(delivery)
    if (unwanted !== undefined) return { kind: 'unwanted', reason: unwanted }
    const { clock, tokensPage } = this.#options
    const page = await tokensPage()
    const { channel } = delivery
    switch (channel.kind) {
      case 'mail': {
        const signal = AbortSignal.any([this.#ending, AbortSignal.timeout(MAIL_TIMEOUT_MS)])
        return (
          (await this.#mailer?.send(delivery, clock(), page, signal)) ?? {
            kind: 'failed',
            reason: 'no mail server',
            isDown: true,
          }
        )
      }
      case 'webhook':
        return await postToWebhook(channel.url, webhookPost(delivery, channel.secret, clock(), page), this.#ending)
    }
  }

  async #record(delivery: Delivery, attempt: Attempt, sum: Delivered): Promise<void> {
    const { id, attempts, channel, notification } = delivery
    const facts = {
      delivery: id,
      notification: notification.payload.kind,
      user: notification.recipient.username,
      channel: channel.kind,
    }
    switch (attempt.kind) {
      case 'accepted':
        sum.accepted += 1
        await retryWrite(() => this.#notifications.finish(delivery))
        this.#log?.info(facts, 'notification delivered')
        return
      case 'unwanted':
        await retryWrite(() => this.#notifications.finish(delivery))
        this.#log?.info({ ...facts, reason: attempt.reason }, 'notification dropped: no longer wanted')
        return
      case 'refused':
        sum.refused.push(attempt.reason)
        await retryWrite(() => this.#notifications.finish(delivery))
        this.#log?.warn({ ...facts, reason: attempt.reason }, 'notification dropped: permanently rejected')
        return
      case 'failed': {
        sum.failed += 1
        const now = this.#options.clock()
        const dueAt = new Date(now.getTime() + retryAfter(attempts))
        await retryWrite(() => this.#notifications.postpone(delivery, attempt.reason, now, dueAt))
        this.#log?.warn({ ...facts, reason: attempt.reason, next_try: dueAt }, 'notification not delivered; retrying')
      }
    }
  }
}

// Another writer holds the database only briefly; a delivered notification must not be sent again because of that.
const MAX_WRITE_ATTEMPTS = 100
const WRITE_RETRY_DELAY_MS = 200

async function retryWrite(write: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await write()
      return
    } catch (error) {
      if (tries === MAX_WRITE_ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, WRITE_RETRY_DELAY_MS))
    }
  }
}
