import { DAY, HOUR, MINUTE } from '../../core/clock.js'
import type { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Notification, NotificationKind } from './notification.js'
import { addressFor } from './notification.js'

/** How a notification is delivered. */
export type Channel =
  | { readonly kind: 'mail' }
  | { readonly kind: 'webhook'; readonly id: number; readonly url: string; readonly secret: Secret }

/** A notification on one channel, leased by one gate. */
export type Delivery = {
  readonly id: number
  /** How many attempts failed. */
  readonly attempts: number
  readonly leasedUntil: Date
  readonly notification: Notification
  readonly channel: Channel
}

/** Which deliveries to lease. */
export type Wanted = {
  readonly now: Date
  /** End of the lease: long enough to send them all. */
  readonly leasedUntil: Date
  /** Whether a mail server is configured; without one, mails wait. */
  readonly mail: boolean
  /** Also lease deliveries that failed before this time, although their retry isn't due yet. */
  readonly failedBefore?: Date
  readonly limit: number
}

/** The deliveries that wait. */
export type Waiting = {
  readonly count: number
  /** Mails among them. */
  readonly mails: number
  /** The error of the last failed one. */
  readonly lastError: string | null
}

/**
 * The outbox. Notifications are written in the transactions of the changes that they report, and deleted once they were
 * delivered, so that none is lost or written twice.
 */
export interface NotificationStore {
  /**
   * Writes one notification for each owner of tokens that expire within a span, unless the owner has no channel, and marks the
   * tokens, so that each is reported once. Mails wait until a mail server is configured.
   *
   * @returns how many notifications were written
   */
  addExpiring(now: Date, until: Date): Promise<number>
  /** The same for tokens that expired since an instant. */
  addExpired(since: Date, now: Date): Promise<number>
  /** Leases deliveries that are due, oldest first. */
  take(wanted: Wanted): Promise<Delivery[]>
  /** It was delivered, or isn't wanted any more. */
  finish(delivery: Delivery): Promise<void>
  /** It failed; it is due again at `dueAt`. */
  postpone(delivery: Delivery, error: string, now: Date, dueAt: Date): Promise<void>
  /** It wasn't tried, and is due again immediately. */
  release(delivery: Delivery): Promise<void>
  /** How many deliveries are leased. */
  countLeased(now: Date): Promise<number>
  /** How many failed since an instant, and why the last one did. */
  failedSince(since: Date): Promise<Pick<Waiting, 'count' | 'lastError'>>
  waiting(): Promise<Waiting>
  /** Deletes mails that were written before an instant. @returns how many */
  dropMails(before: Date): Promise<number>
  /** The kinds that an account has turned off. */
  kindsOff(accountId: number): Promise<NotificationKind[]>
  setKindsOff(context: AuditContext, accountId: number, kinds: readonly NotificationKind[]): Promise<void>
}

/** How long mails wait for a mail server to be configured. */
export const UNSENT_MAIL_RETENTION_MS = 7 * DAY

/** Milliseconds until the next try: a minute, doubled each time, an hour at most. */
export function retryAfter(attempts: number): number {
  return Math.min(MINUTE * 2 ** attempts, HOUR)
}

/** Why a notification isn't wanted any more; `undefined` if it still is. */
export function unwantedBecause({ notification, channel }: Delivery): string | undefined {
  const { recipient, payload } = notification
  if (recipient.state === 'blocked') return 'the account was blocked'
  if (recipient.off.includes(payload.kind)) return 'the account has turned these notifications off'
  if (channel.kind === 'mail' && addressFor(notification) === null) return 'the account has no email address any more'
  return undefined
}
