import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { Scope } from '../tokens/scope.js'

/** What changes of how an account is signed in to are told about. */
export const ACCOUNT_NOTICE_KINDS = [
  'password-changed',
  'email-changed',
  'two-factor-enabled',
  'two-factor-disabled',
  'recovery-codes-renewed',
] as const

/** What people are told about; each can be turned off for an account. */
export const NOTICE_KINDS = [
  'expiring',
  'expired',
  'created',
  'revoked',
  'rotated',
  'new-address',
  ...ACCOUNT_NOTICE_KINDS,
] as const

export type AccountNoticeKind = (typeof ACCOUNT_NOTICE_KINDS)[number]

export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** A token as a notice tells of it: as it was then. */
export type NoticedToken = {
  readonly id: number
  readonly name: string
  readonly description: string | null
  readonly scopes: readonly Scope[]
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

/** Who made a change: the owner, another account, a user of the operating system, or the gate by one of its rules. */
export type By =
  | { readonly kind: 'owner'; readonly ip: string | null }
  | { readonly kind: 'account'; readonly name: string }
  | { readonly kind: 'operator'; readonly name: string }
  | { readonly kind: 'gate' }

/** An address that a token was used from for the first time. */
export type NewAddress = { readonly ip: string; readonly at: Date }

/** That something was changed about how an account is signed in to. */
export type AccountNews = {
  readonly kind: AccountNoticeKind
  readonly by: By
  readonly at: Date
  /** The address of the account at that time: whoever changes it afterwards, or just that, keeps nothing from its owner. */
  readonly to: string | null
}

/** What a notice tells, by its kind. */
export type News =
  | { readonly kind: 'expiring' | 'expired'; readonly tokens: readonly NoticedToken[]; readonly more: number }
  | { readonly kind: 'created'; readonly token: NoticedToken; readonly by: By }
  /** `rule` is why, where nobody asked for it. */
  | { readonly kind: 'revoked'; readonly token: NoticedToken; readonly by: By; readonly rule: string | null }
  /** The old secret works until `endsAt`, perhaps later than the change. */
  | {
      readonly kind: 'rotated'
      readonly token: NoticedToken
      readonly successor: NoticedToken
      readonly by: By
      readonly endsAt: Date
    }
  | AccountNews
  | {
      readonly kind: 'new-address'
      readonly token: NoticedToken
      readonly addresses: readonly NewAddress[]
      readonly more: number
    }

/** Whom a notice is for, as the account is when it is sent. */
export type Recipient = {
  readonly id: number
  readonly username: string
  readonly name: string
  readonly email: string | null
  readonly state: 'active' | 'blocked'
  readonly off: readonly NoticeKind[]
}

/** Something that a person is told, once. */
export type Notice = {
  readonly id: number
  readonly createdAt: Date
  readonly recipient: Recipient
  readonly news: News
}

/** Where a mail of it goes. */
export function addressFor({ news, recipient }: Notice): string | null {
  return 'to' in news ? news.to : recipient.email
}

/** The tokens that a notice is about. */
export function tokensOf(news: News): readonly NoticedToken[] {
  switch (news.kind) {
    case 'expiring':
    case 'expired':
      return news.tokens
    case 'created':
    case 'revoked':
    case 'new-address':
      return [news.token]
    case 'rotated':
      return [news.token, news.successor]
    case 'password-changed':
    case 'email-changed':
    case 'two-factor-enabled':
    case 'two-factor-disabled':
    case 'recovery-codes-renewed':
      return []
  }
}

/**
 * Reads the kinds of notices in a list with commas between.
 *
 * @throws GitgateError `usage` naming what is none
 */
export function parseNoticeKinds(text: string): NoticeKind[] {
  const words = text.split(',').map((word) => word.trim())
  return words.map((word) => {
    const kind = NOTICE_KINDS.find((one) => one === word)
    if (kind !== undefined) return kind
    throw new GitgateError(
      'usage',
      `"${printable(word)}" is no kind of notice; the kinds are ${NOTICE_KINDS.join(', ')}`,
    )
  })
}
