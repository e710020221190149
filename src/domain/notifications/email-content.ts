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

/** What an e-mail says, before it is rendered as text and HTML. */
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

/** A token in an e-mail: its name and its details, one a line. */
export type EmailToken = { readonly name: string; readonly lines: readonly (readonly [label: string, text: string])[] }

/**
 * Creates the content of a notification's e-mail.
 *
 * @param tokensPage URL of the page where the recipient manages tokens
 */
export function createEmailContent({ recipient, payload }: Notification, now: Date, tokensPage: string): EmailContent {
  return {
    ...textFor(payload, now),
    greeting: `Hello ${recipient.name},`,
    ...linkFor(payload, tokensPage),
    closing: `You get this mail because ${reasonFor(payload)} ${recipient.username}. An administrator can turn it off for you: gitgate user notifications ${recipient.username} --off ${payload.kind}`,
  }
}

function reasonFor({ kind }: NotificationPayload): string {
  if (isAboutAccount(kind)) return 'your account here is'
  return kind === 'expiring' || kind === 'expired' ? 'you own access tokens as' : 'you own this access token as'
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

const UNEXPECTED_CHANGE_ADVICE = 'If you do not know of this, revoke the token and tell your administrator.'

function textFor(payload: NotificationPayload, now: Date): NotificationText {
  switch (payload.kind) {
    case 'expiring':
      return expiring(payload, now)
    case 'expired':
      return expired(payload)
    case 'created':
      return {
        subject: `Access token ${quoteName(payload.token)} was created`,
        opening: `A new personal access token was made for your account, by ${describeActor(payload.by)}.`,
        tokens: [
          { name: payload.token.name, lines: [...descriptionAndScopes(payload.token), expiryLine(payload.token, now)] },
        ],
        more: undefined,
        advice: UNEXPECTED_CHANGE_ADVICE,
      }
    case 'revoked':
      return {
        subject: `Access token ${quoteName(payload.token)} was revoked`,
        opening: `A personal access token of yours was revoked by ${describeActor(payload.by)}. It works no more.`,
        tokens: [
          {
            name: payload.token.name,
            lines: [...ruleLine(payload.rule), ...descriptionAndScopes(payload.token), lastUseLine(payload.token)],
          },
        ],
        more: undefined,
        advice: 'What still needs access has to be given another token.',
      }
    case 'rotated':
      return {
        subject: `Access token ${quoteName(payload.token)} was rotated`,
        opening: `A personal access token of yours was given a new secret by ${describeActor(payload.by)}. ${payload.endsAt <= now ? 'The old secret works no more.' : `The old secret works until ${formatInstant(payload.endsAt)}.`}`,
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
        opening: `A personal access token of yours was used from ${payload.addresses.length + payload.more === 1 ? 'an address' : 'addresses'} that it had not been used from before.`,
        tokens: [
          {
            name: payload.token.name,
            lines: [
              ...payload.addresses.map(({ ip, at }) => ['Address', `${ip}, first on ${formatInstant(at)}`] as const),
              ...descriptionAndScopes(payload.token),
            ],
          },
        ],
        more: payload.more === 0 ? undefined : `and from ${payload.more} more addresses`,
        advice: `If that was you, there is nothing to do. If not, somebody has the token: revoke it and tell your administrator.`,
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
    opening: `${isOne ? 'This personal access token of yours ends' : 'These personal access tokens of yours end'} within the next seven days. What uses ${isOne ? 'it' : 'them'} will be refused from then on.`,
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [expiryLine(token, now), ...descriptionAndScopes(token), lastUseLine(token)],
    })),
    more: andMore(more),
    advice: isOne
      ? 'If you still need it, rotate it or make a new one before it ends.'
      : 'Rotate those that you still need, or make new ones, before they end.',
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
    opening: `${isOne ? 'This personal access token of yours has' : 'These personal access tokens of yours have'} expired and ${isOne ? 'works' : 'work'} no more.`,
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [
        ['Expired', token.expiresAt === null ? 'never' : `on ${formatInstant(token.expiresAt)}`],
        ...descriptionAndScopes(token),
        lastUseLine(token),
      ],
    })),
    more: andMore(more),
    advice: 'What still needs access has to be given a new token.',
  }
}

/**
 * Names come from people: in a subject they are kept short, and on one line. With double quotes a subject would be encoded, which
 * nobody could read in the log of a mail server.
 */
function quoteName({ name }: NotificationToken): string {
  return `'${printable(name)}'`
}

function ruleLine(rule: string | null): (readonly [string, string])[] {
  if (rule === null) return []
  const isLifetime = rule === 'max_personal_access_token_lifetime'
  return [['Why', isLifetime ? `it would live longer than this server allows (setting ${rule})` : rule]]
}

function descriptionAndScopes({ description, scopes }: NotificationToken): (readonly [string, string])[] {
  const what = description === null || description === '' ? [] : [['For', description] as const]
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
  const { subject, what, after, unknown } = ACCOUNT_CHANGE_TEXTS[kind]
  return {
    subject,
    opening: `${what} on ${formatInstant(at)}, by ${describeActor(by)}. ${after}`,
    advice: `If that was you, or you had asked for it, there is nothing to do. If not, ${unknown}, and look through your sessions and tokens for what is not yours.`,
  }
}

const SIGN_IN_RISK = 'somebody can sign in as you: change your password and tell your administrator at once'

const ACCOUNT_CHANGE_TEXTS: Readonly<
  Record<AccountNotificationKind, Readonly<Record<'subject' | 'what' | 'after' | 'unknown', string>>>
> = {
  'password-changed': {
    subject: 'Your password was changed',
    what: 'The password of your account was changed',
    after: 'Whoever was signed in elsewhere is signed out; tokens work on.',
    unknown: 'somebody else may have the password now: tell your administrator at once, who can set another',
  },
  'email-changed': {
    subject: 'Your e-mail address was changed',
    what: 'The e-mail address of your account was changed',
    after: 'Notifications go to another address, or to none, from now on; this one is the last that comes here.',
    unknown: 'somebody may want you not to hear of what they do: tell your administrator at once, who can put it right',
  },
  'two-factor-enabled': {
    subject: 'Two-factor authentication was switched on',
    what: 'Two-factor authentication of your account was switched on',
    after: 'From now on signing in takes a code, and Git takes tokens only.',
    unknown: 'somebody else may hold the second factor: tell your administrator at once, who can switch it off',
  },
  'two-factor-disabled': {
    subject: 'Two-factor authentication was switched off',
    what: 'Two-factor authentication of your account was switched off',
    after: 'From now on the password alone is enough, and recovery codes are void.',
    unknown: SIGN_IN_RISK,
  },
  'recovery-codes-renewed': {
    subject: 'Your recovery codes were made anew',
    what: 'New recovery codes of your account were made',
    after: 'Those from before are void.',
    unknown: SIGN_IN_RISK,
  },
}

/** Names whoever made a change, as an e-mail does. */
function describeActor(actor: NotificationActor): string {
  switch (actor.kind) {
    case 'owner':
      return actor.ip === null ? 'yourself' : `yourself, from ${actor.ip}`
    case 'account':
      return actor.name
    case 'operator':
      return `${actor.name}, on the command line of the server`
    case 'gate':
      return 'gitgate itself'
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
