import { utcDate } from '../../core/clock.js'
import { printable } from '../../core/printable.js'
import type {
  AccountNotificationKind,
  AccountNotificationPayload,
  Notification,
  NotificationActor,
  NotificationKind,
  NotificationPayload,
  NotificationToken,
} from './notification.js'
import { ACCOUNT_NOTIFICATION_KINDS, daysLeft } from './notification.js'

/** The content of an email, before it is rendered as text and HTML. */
export type EmailContent = {
  readonly subject: string
  readonly greeting: string
  /** What happened, or will happen. */
  readonly opening: string
  readonly tokens: readonly EmailToken[]
  /** How many tokens aren't listed. */
  readonly more: string | undefined
  /** What the recipient should do. */
  readonly advice: string
  /** The page for it. */
  readonly link: { readonly label: string; readonly url: string }
  /** Why the recipient gets it, and how to turn it off. */
  readonly closing: string
}

/** A token in an email: its name and its details, one a line. */
export type EmailToken = { readonly name: string; readonly lines: readonly (readonly [label: string, text: string])[] }

/**
 * Creates the content of a notification's email.
 *
 * @param tokensPage URL of the page where the recipient manages tokens
 */
export function createEmailContent({ recipient, payload }: Notification, now: Date, tokensPage: string): EmailContent {
  return {
    ...textFor(payload, now),
    greeting: `Hello ${recipient.name},`,
    ...linkFor(payload, tokensPage),
    closing: `You receive this email because ${reasonFor(payload)} ${recipient.username}. An administrator can turn it off: gitgate user notifications ${recipient.username} --off ${payload.kind}`,
  }
}

function reasonFor({ kind }: NotificationPayload): string {
  if (isAboutAccount(kind)) return 'it is about your account'
  return kind === 'expiring' || kind === 'expired'
    ? 'these tokens belong to your account'
    : 'this token belongs to your account'
}

function linkFor({ kind }: NotificationPayload, tokensPage: string): Pick<EmailContent, 'link'> {
  const link = isAboutAccount(kind)
    ? { label: 'Your sessions', url: new URL('active_sessions', tokensPage).href }
    : { label: 'Your tokens', url: tokensPage }
  return { link }
}

function isAboutAccount(kind: NotificationKind): boolean {
  return ACCOUNT_NOTIFICATION_KINDS.some((one) => one === kind)
}

type NotificationText = Omit<EmailContent, 'greeting' | 'link' | 'closing'>

const UNEXPECTED_CHANGE_ADVICE = "If this wasn't you, revoke the token and tell your administrator."

function textFor(payload: NotificationPayload, now: Date): NotificationText {
  switch (payload.kind) {
    case 'expiring':
      return expiring(payload, now)
    case 'expired':
      return expired(payload)
    case 'created':
      return {
        subject: `Access token ${quoteName(payload.token)} was created`,
        opening: `A personal access token was created for your account by ${describeActor(payload.by)}.`,
        tokens: [
          { name: payload.token.name, lines: [...descriptionAndScopes(payload.token), expiryLine(payload.token, now)] },
        ],
        more: undefined,
        advice: UNEXPECTED_CHANGE_ADVICE,
      }
    case 'revoked':
      return {
        subject: `Access token ${quoteName(payload.token)} was revoked`,
        opening: `One of your personal access tokens was revoked by ${describeActor(payload.by)}. It no longer works.`,
        tokens: [
          {
            name: payload.token.name,
            lines: [...ruleLine(payload.rule), ...descriptionAndScopes(payload.token), lastUseLine(payload.token)],
          },
        ],
        more: undefined,
        advice: 'If something still needs access, create a new token for it.',
      }
    case 'rotated':
      return {
        subject: `Access token ${quoteName(payload.token)} was rotated`,
        opening: `One of your personal access tokens was rotated by ${describeActor(payload.by)}: it has a new secret. ${payload.endsAt <= now ? 'The old secret no longer works.' : `The old secret works until ${formatInstant(payload.endsAt)}.`}`,
        tokens: [
          {
            name: payload.successor.name,
            lines: [...descriptionAndScopes(payload.successor), expiryLine(payload.successor, now)],
          },
        ],
        more: undefined,
        advice: UNEXPECTED_CHANGE_ADVICE,
      }
    case 'password-changed':
    case 'email-changed':
    case 'two-factor-enabled':
    case 'two-factor-disabled':
    case 'recovery-codes-renewed':
      return { ...accountChangeText(payload), tokens: [], more: undefined }
    case 'new-address':
      return {
        subject: `Access token ${quoteName(payload.token)} was used from a new address`,
        opening: `One of your personal access tokens was used from ${payload.addresses.length + payload.more === 1 ? 'a new address' : 'new addresses'}.`,
        tokens: [
          {
            name: payload.token.name,
            lines: [
              ...payload.addresses.map(
                ({ ip, at }) => ['Address', `${ip}, first used on ${formatInstant(at)}`] as const,
              ),
              ...descriptionAndScopes(payload.token),
            ],
          },
        ],
        more:
          payload.more === 0 ? undefined : `and ${payload.more} more ${payload.more === 1 ? 'address' : 'addresses'}`,
        advice: `If this was you, you don't need to do anything. If not, somebody else has the token: revoke it and tell your administrator.`,
      }
  }
}

function expiring(
  { tokens, more }: { tokens: readonly NotificationToken[]; more: number },
  now: Date,
): NotificationText {
  const [first] = tokens
  const isOne = tokens.length + more === 1
  return {
    subject:
      isOne && first !== undefined && first.expiresAt !== null
        ? `Access token ${quoteName(first)} will expire ${formatDaysLeft(daysLeft(first.expiresAt, now))}`
        : `${tokens.length + more} of your access tokens will expire in under 7 days`,
    opening: `${isOne ? 'This personal access token expires' : 'These personal access tokens expire'} within the next seven days. After that, anything that uses ${isOne ? 'it' : 'them'} will be refused.`,
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [expiryLine(token, now), ...descriptionAndScopes(token), lastUseLine(token)],
    })),
    more: andMore(more),
    advice: isOne
      ? 'If you still need it, rotate it or create a new one before it expires.'
      : 'If you still need them, rotate them or create new ones before they expire.',
  }
}

function expired({ tokens, more }: { tokens: readonly NotificationToken[]; more: number }): NotificationText {
  const [first] = tokens
  const isOne = tokens.length + more === 1
  return {
    subject:
      isOne && first !== undefined
        ? `Access token ${quoteName(first)} has expired`
        : `${tokens.length + more} of your access tokens have expired`,
    opening: isOne
      ? 'This personal access token has expired and no longer works.'
      : 'These personal access tokens have expired and no longer work.',
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [
        ['Expired', token.expiresAt === null ? 'never' : `on ${formatInstant(token.expiresAt)}`],
        ...descriptionAndScopes(token),
        lastUseLine(token),
      ],
    })),
    more: andMore(more),
    advice: 'If something still needs access, create a new token for it.',
  }
}

/**
 * Quotes a name for a subject. Users choose names, so control characters are replaced. Typographic quotes would make the
 * subject an encoded word (RFC 2047), which is hard to read in a mail server's log.
 */
function quoteName({ name }: NotificationToken): string {
  return `'${printable(name)}'`
}

function ruleLine(rule: string | null): (readonly [string, string])[] {
  if (rule === null) return []
  const isLifetime = rule === 'max_personal_access_token_lifetime'
  return [['Reason', isLifetime ? `its lifetime exceeds what this server allows (setting ${rule})` : rule]]
}

function descriptionAndScopes({ description, scopes }: NotificationToken): (readonly [string, string])[] {
  const what = description === null || description === '' ? [] : [['Description', description] as const]
  return [...what, ['Scopes', scopes.join(', ')]]
}

function expiryLine({ expiresAt }: NotificationToken, now: Date): readonly [string, string] {
  return ['Expires', formatExpiry(expiresAt, now)]
}

function lastUseLine({ lastUsedAt }: NotificationToken): readonly [string, string] {
  return ['Last used', lastUsedAt === null ? 'never' : `on ${formatInstant(lastUsedAt)}`]
}

function andMore(more: number): string | undefined {
  return more === 0 ? undefined : `and ${more} more`
}

/** Says what changed about an account's sign-in, when, by whom and from where, and what to do. */
function accountChangeText({
  kind,
  by,
  at,
}: AccountNotificationPayload): Pick<EmailContent, 'subject' | 'opening' | 'advice'> {
  const { subject, what, consequence, risk } = ACCOUNT_CHANGE_TEXTS[kind]
  return {
    subject,
    opening: `${what} on ${formatInstant(at)}, by ${describeActor(by)}. ${consequence}`,
    advice: `If you did this or asked for it, you don't need to do anything. If not, ${risk}. Also check your sessions and tokens for any that aren't yours.`,
  }
}

const SIGN_IN_RISK =
  'somebody else may be able to sign in as you: change your password and tell your administrator immediately'

const ACCOUNT_CHANGE_TEXTS: Readonly<
  Record<AccountNotificationKind, Readonly<Record<'subject' | 'what' | 'consequence' | 'risk', string>>>
> = {
  'password-changed': {
    subject: 'Your password was changed',
    what: 'The password of your account was changed',
    consequence: 'All other sessions were signed out. Tokens keep working.',
    risk: 'somebody else may know the new password: tell your administrator immediately, who can reset it',
  },
  'email-changed': {
    subject: 'Your email address was changed',
    what: 'The email address of your account was changed',
    consequence: 'Notifications no longer come to this address; this is the last one.',
    risk: 'somebody may be hiding changes from you: tell your administrator immediately, who can change it back',
  },
  'two-factor-enabled': {
    subject: 'Two-factor authentication was turned on',
    what: 'Two-factor authentication was turned on for your account',
    consequence: 'Signing in now requires a code, and Git accepts only tokens.',
    risk: 'somebody else may have the second factor: tell your administrator immediately, who can turn it off',
  },
  'two-factor-disabled': {
    subject: 'Two-factor authentication was turned off',
    what: 'Two-factor authentication was turned off for your account',
    consequence: 'The password alone is now enough to sign in, and the recovery codes no longer work.',
    risk: SIGN_IN_RISK,
  },
  'recovery-codes-renewed': {
    subject: 'Your recovery codes were replaced',
    what: 'The recovery codes of your account were replaced',
    consequence: 'The old codes no longer work.',
    risk: SIGN_IN_RISK,
  },
}

/** Names the author of a change: `you, from 192.0.2.1`. */
function describeActor(actor: NotificationActor): string {
  switch (actor.kind) {
    case 'owner':
      return actor.ip === null ? 'you' : `you, from ${actor.ip}`
    case 'account':
      return actor.name
    case 'operator':
      return `${actor.name}, on the command line of the server`
    case 'gate':
      return 'gitgate'
  }
}

/** Formats an instant: `2026-06-18 at 00:00 UTC`. */
function formatInstant(instant: Date): string {
  return `${utcDate(instant)} at ${instant.toISOString().slice(11, 16)} UTC`
}

/** Formats when a token expires: `in 3 days, on 2026-06-18 at 00:00 UTC`. */
function formatExpiry(expiresAt: Date | null, now: Date): string {
  if (expiresAt === null) return 'never'
  if (expiresAt <= now) return `expired on ${formatInstant(expiresAt)}`
  return `${formatDaysLeft(daysLeft(expiresAt, now))}, on ${formatInstant(expiresAt)}`
}

/** Formats a number of days to come: `today`, `in 1 day`, `in 3 days`. */
function formatDaysLeft(days: number): string {
  if (days <= 0) return 'today'
  return days === 1 ? 'in 1 day' : `in ${days} days`
}
