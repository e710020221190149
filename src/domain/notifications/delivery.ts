import { DAY, HOUR, MINUTE } from '../../core/clock.js'
import type { Secret } from '../../core/secret.js'
import type { Notice, NoticeKind } from './notice.js'
import { addressFor } from './notice.js'

/** By which way a notice travels. */
export type Way =
  | { readonly kind: 'mail' }
  | { readonly kind: 'webhook'; readonly id: number; readonly url: string; readonly secret: Secret }

/** A notice on one of its ways, taken by one gate until the end of its lease. */
export type Delivery = {
  readonly id: number
  /** How often it was tried in vain. */
  readonly attempts: number
  readonly leasedUntil: Date
  readonly notice: Notice
  readonly way: Way
}

/** Which deliveries are taken. */
export type Wanted = {
  readonly now: Date
  /** Until when nobody else takes them: long enough to send them all. */
  readonly leasedUntil: Date
  /** Whether there is a mail server; without one, mails wait. */
  readonly mail: boolean
  /** Takes those that failed before this instant, too, though they would be tried again later. */
  readonly failedBefore?: Date
  readonly limit: number
}

/** What waits to be sent. */
export type Waiting = {
  readonly count: number
  /** Those that wait for a mail server to be configured, or for their turn. */
  readonly mails: number
  /** Why the last one that failed did. */
  readonly lastError: string | null
}

/**
 * Notices on their way. They are written in the transactions of the changes that they tell about, and deleted once they have
 * arrived, so that none is lost or made twice.
 */
export interface NoticeStore {
  /**
   * Notes the tokens that expire within a span and whose owners were not told yet, one notice for each owner who can be
   * reached, and marks the tokens as told.
   * They wait where there is no mail server.
   *
   * @returns how many notices there are
   */
  noteExpiring(now: Date, until: Date): Promise<number>
  /** Notes those that expired since an instant; as {@link noteExpiring}. */
  noteExpired(since: Date, now: Date): Promise<number>
  /** Takes deliveries; those that are due, oldest first. */
  take(wanted: Wanted): Promise<Delivery[]>
  /** It has arrived, or is not wanted any more. */
  finish(delivery: Delivery): Promise<void>
  /** It failed, and is due again later. */
  postpone(delivery: Delivery, error: string, now: Date, dueAt: Date): Promise<void>
  /** It was not tried, and is due again at once. */
  release(delivery: Delivery): Promise<void>
  /** How many another gate is sending. */
  countLeased(now: Date): Promise<number>
  /** How many failed since an instant, and why the last one did. */
  failedSince(since: Date): Promise<Pick<Waiting, 'count' | 'lastError'>>
  waiting(): Promise<Waiting>
  /** Deletes mails that were written before an instant. @returns how many */
  dropMails(before: Date): Promise<number>
  /** The kinds that an account has turned off. */
  kindsOff(accountId: number): Promise<NoticeKind[]>
  setKindsOff(accountId: number, kinds: readonly NoticeKind[]): Promise<void>
}

/** Mails wait so long for a mail server to be configured. */
export const KEPT_WITHOUT_SERVER = 7 * DAY

/** Milliseconds until the next try: a minute, doubled each time, an hour at most. */
export function retryAfter(attempts: number): number {
  return Math.min(MINUTE * 2 ** attempts, HOUR)
}

/** Why a notice is not wanted any more; `undefined` where it is. */
export function unwantedBecause({ notice, way }: Delivery): string | undefined {
  const { recipient, news } = notice
  if (recipient.state === 'blocked') return 'the account was blocked'
  if (recipient.off.includes(news.kind)) return 'the account has turned these notices off'
  if (way.kind === 'mail' && addressFor(notice) === null) return 'the account has no e-mail address any more'
  return undefined
}
