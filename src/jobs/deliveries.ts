import { MINUTE, SECOND } from '../core/clock.js'
import type { Logger } from '../server/log.js'
import type { Delivery, NoticeStore, Wanted } from '../domain/notifications/delivery.js'
import { KEPT_WITHOUT_SERVER, retryAfter, unwantedBecause } from '../domain/notifications/delivery.js'
import { webhookPost } from '../domain/notifications/webhook.js'
import type { Attempt, Mailer } from './mail.js'
import { postToWebhook } from './post.js'
import type { JobsOptions } from './jobs-options.js'

/** What became of deliveries that were taken. */
export type Delivered = { accepted: number; failed: number; refused: string[] }

// One gate sends a few at a time: all of them must be done within the lease, or another gate takes them, too.
const TAKEN_AT_ONCE = 10
const LEASE = 10 * MINUTE
const TRY_FOR = 45 * SECOND
// So many mails that failed one after the other were not the mails' fault.
const TAKEN_FOR_DOWN = 3

/** Sends what is due. Two gates share the work: what one has taken, the other leaves. */
export class Deliveries {
  readonly #notices: NoticeStore
  readonly #mailer: Mailer | undefined
  readonly #options: Pick<JobsOptions, 'clock' | 'tokensPage'>
  readonly #log: Logger | undefined
  readonly #ending: AbortSignal

  /** @param ending aborted when what is being sent has to end, too */
  constructor(options: JobsOptions, mailer: Mailer | undefined, ending: AbortSignal) {
    this.#notices = options.store.notices
    this.#mailer = mailer
    this.#options = options
    this.#log = options.log
    this.#ending = ending
  }

  /**
   * Sends all that is due, and with an instant what failed before it, too.
   *
   * @param isEnding whether to stop before all is sent
   */
  async deliver(isEnding: () => boolean, failedBefore?: Date): Promise<Delivered> {
    const sum: Delivered = { accepted: 0, failed: 0, refused: [] }
    while (!isEnding()) {
      const deliveries = await this.#notices.take(this.#wanted(failedBefore))
      if (deliveries.length === 0) return sum
      await this.#sendAll(deliveries, sum, isEnding)
    }
    return sum
  }

  /** Without a mail server, mails that waited for one too long are dropped. */
  async dropOldMails(): Promise<void> {
    if (this.#mailer !== undefined) return
    const before = new Date(this.#options.clock().getTime() - KEPT_WITHOUT_SERVER)
    const dropped = await this.#notices.dropMails(before)
    if (dropped > 0) this.#log?.warn({ dropped }, 'dropped mails that waited seven days for GITGATE_SMTP_URL')
  }

  #wanted(failedBefore: Date | undefined): Wanted {
    const now = this.#options.clock()
    return {
      now,
      leasedUntil: new Date(now.getTime() + LEASE),
      mail: this.#mailer !== undefined,
      limit: TAKEN_AT_ONCE,
      ...(failedBefore === undefined ? {} : { failedBefore }),
    }
  }

  /** Mails one after the other, since they go to one server; webhooks beside them. */
  async #sendAll(deliveries: readonly Delivery[], sum: Delivered, isEnding: () => boolean): Promise<void> {
    const mails = deliveries.filter(({ way }) => way.kind === 'mail')
    const posts = deliveries.filter(({ way }) => way.kind === 'webhook')
    const sendMails = async (): Promise<void> => {
      // Where one finds the server down, the others need not wait for the same.
      let down: Attempt | undefined
      let inARow = 0
      for (const mail of mails) {
        if (isEnding()) {
          await this.#notices.release(mail)
          continue
        }
        const attempt = down ?? (await this.#try(mail))
        inARow = attempt.kind === 'failed' ? inARow + 1 : 0
        if (attempt.kind === 'failed' && (attempt.isDown || inARow === TAKEN_FOR_DOWN)) down = attempt
        await this.#settle(mail, attempt, sum)
      }
    }
    const post = async (delivery: Delivery): Promise<void> => {
      await this.#settle(delivery, await this.#try(delivery), sum)
    }
    await Promise.all([sendMails(), ...posts.map(post)])
  }

  async #try(delivery: Delivery): Promise<Attempt> {
    const unwanted = unwantedBecause(delivery)
    if (unwanted !== undefined) return { kind: 'unwanted', reason: unwanted }
    const { clock, tokensPage } = this.#options
    const page = await tokensPage()
    const { way } = delivery
    switch (way.kind) {
      case 'mail': {
        const signal = AbortSignal.any([this.#ending, AbortSignal.timeout(TRY_FOR)])
        return (
          (await this.#mailer?.send(delivery, clock(), page, signal)) ?? {
            kind: 'failed',
            reason: 'no mail server',
            isDown: true,
          }
        )
      }
      case 'webhook':
        return await postToWebhook(way.url, webhookPost(delivery, way.secret, clock(), page), this.#ending)
    }
  }

  async #settle(delivery: Delivery, attempt: Attempt, sum: Delivered): Promise<void> {
    const { id, attempts, way, notice } = delivery
    const facts = { delivery: id, notice: notice.news.kind, user: notice.recipient.username, way: way.kind }
    switch (attempt.kind) {
      case 'accepted':
        sum.accepted += 1
        await stubbornly(() => this.#notices.finish(delivery))
        this.#log?.info(facts, 'notice delivered')
        return
      case 'unwanted':
        await stubbornly(() => this.#notices.finish(delivery))
        this.#log?.info({ ...facts, reason: attempt.reason }, 'notice dropped: it is not wanted any more')
        return
      case 'refused':
        sum.refused.push(attempt.reason)
        await stubbornly(() => this.#notices.finish(delivery))
        this.#log?.warn({ ...facts, reason: attempt.reason }, 'notice dropped: it will never be taken')
        return
      case 'failed': {
        sum.failed += 1
        const now = this.#options.clock()
        const dueAt = new Date(now.getTime() + retryAfter(attempts))
        await stubbornly(() => this.#notices.postpone(delivery, attempt.reason, now, dueAt))
        this.#log?.warn({ ...facts, reason: attempt.reason, next_try: dueAt }, 'notice not delivered; will try again')
      }
    }
  }
}

// Another writer has the database for moments only; what has arrived must not be sent again for that.
const WRITES = 100
const WRITE_PAUSE = 200

async function stubbornly(write: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await write()
      return
    } catch (error) {
      if (tries === WRITES) throw error
      await new Promise((resolve) => setTimeout(resolve, WRITE_PAUSE))
    }
  }
}
