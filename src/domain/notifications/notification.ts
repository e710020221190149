import { DAY } from '../../core/clock.js'
import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { Scope } from '../tokens/scope.js'

/** Kinds that report a change to an account's sign-in. */
export const ACCOUNT_NOTIFICATION_KINDS = [
  'password-changed',
  'email-changed',
  'two-factor-enabled',
  'two-factor-disabled',
  'recovery-codes-renewed',
] as const

/** All kinds of notification; each can be turned off for an account. */
export const NOTIFICATION_KINDS = [
  'expiring',
  'expired',
  'created',
  'revoked',
  'rotated',
  'new-address',
  ...ACCOUNT_NOTIFICATION_KINDS,
] as const

export type AccountNotificationKind = (typeof ACCOUNT_NOTIFICATION_KINDS)[number]

export type NotificationKind = (typeof NOTIFICATION_KINDS)[number]

/** A token, as it was when the notification was written. */
export type NotificationToken = {
  readonly id: number
  readonly name: string
  readonly description: string | null
  readonly scopes: readonly Scope[]
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

/** Who made a change: the owner, another account, a user of the operating system, or the gate by one of its rules. */
export type NotificationActor =
  | { readonly kind: 'owner'; readonly ip: string | null }
  | { readonly kind: 'account'; readonly name: string }
  | { readonly kind: 'operator'; readonly name: string }
  | { readonly kind: 'gate' }

/** An address that a token was used from for the first time. */
export type NewAddress = { readonly ip: string; readonly at: Date }

/** A change to an account's sign-in. */
export type AccountNotificationPayload = {
  readonly kind: AccountNotificationKind
  readonly by: NotificationActor
  readonly at: Date
  /** The account's address at that time, so that somebody who changes the address can't hide a change from its owner. */
  readonly to: string | null
}

/** What a notification says, by kind. Its fields are stored as JSON: renaming one needs a migration. */
export type NotificationPayload =
  | { readonly kind: 'expiring' | 'expired'; readonly tokens: readonly NotificationToken[]; readonly more: number }
  | { readonly kind: 'created'; readonly token: NotificationToken; readonly by: NotificationActor }
  /** `rule`: the policy that revoked it, if no person did. */
  | {
      readonly kind: 'revoked'
      readonly token: NotificationToken
      readonly by: NotificationActor
      readonly rule: string | null
    }
  /** The old secret works until `endsAt`, perhaps later than the change. */
  | {
      readonly kind: 'rotated'
      readonly token: NotificationToken
      readonly successor: NotificationToken
      readonly by: NotificationActor
      readonly endsAt: Date
    }
  | AccountNotificationPayload
  | {
      readonly kind: 'new-address'
      readonly token: NotificationToken
      readonly addresses: readonly NewAddress[]
      readonly more: number
    }

/** The account that gets a notification, as it is when that is sent. */
export type Recipient = {
  readonly id: number
  readonly username: string
  readonly name: string
  readonly email: string | null
  readonly state: 'active' | 'blocked'
  readonly off: readonly NotificationKind[]
}

/** One notification for one account. */
export type Notification = {
  readonly id: number
  readonly createdAt: Date
  readonly recipient: Recipient
  readonly payload: NotificationPayload
}

/** The address that an email goes to. */
export function addressFor({ payload, recipient }: Notification): string | null {
  return 'to' in payload ? payload.to : recipient.email
}

/** The tokens that a notification lists. */
export function tokensOf(payload: NotificationPayload): readonly NotificationToken[] {
  switch (payload.kind) {
    case 'expiring':
    case 'expired':
      return payload.tokens
    case 'created':
    case 'revoked':
    case 'new-address':
      return [payload.token]
    case 'rotated':
      return [payload.token, payload.successor]
    case 'password-changed':
    case 'email-changed':
    case 'two-factor-enabled':
    case 'two-factor-disabled':
    case 'recovery-codes-renewed':
      return []
  }
}

/** Calendar days in UTC until an instant: 0 is today, 1 tomorrow; negative in the past. */
export function daysLeft(instant: Date, now: Date): number {
  return Math.floor(instant.getTime() / DAY) - Math.floor(now.getTime() / DAY)
}

/**
 * Parses a comma-separated list of kinds.
 *
 * @throws GitgateError `usage` naming the first unknown kind
 */
export function parseNotificationKinds(text: string): NotificationKind[] {
  const words = text.split(',').map((word) => word.trim())
  return words.map((word) => {
    const kind = NOTIFICATION_KINDS.find((one) => one === word)
    if (kind !== undefined) return kind
    throw new GitgateError(
      'usage',
      `"${printable(word)}" is not a kind of notification; the kinds are ${NOTIFICATION_KINDS.join(', ')}`,
    )
  })
}
