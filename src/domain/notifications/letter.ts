import { printable } from '../../core/printable.js'
import { accountWords } from './account-letter.js'
import { doer } from './doer.js'
import { daysInWords, daysLeft, endInWords, inWords } from './moments.js'
import type { News, Notice, NoticedToken, NoticeKind } from './notice.js'
import { ACCOUNT_NOTICE_KINDS } from './notice.js'

/** A mail before it is text or HTML. */
export type Letter = {
  readonly subject: string
  readonly greeting: string
  /** What has happened, or will. */
  readonly opening: string
  readonly tokens: readonly LetterToken[]
  /** How many are not named. */
  readonly more: string | undefined
  /** What to do. */
  readonly advice: string
  /** Where to see to it. */
  readonly link: { readonly label: string; readonly url: string }
  /** Why one gets it, and how to get it no more. */
  readonly closing: string
}

/** A token in a letter: its name, and what there is to know, line by line. */
export type LetterToken = { readonly name: string; readonly lines: readonly (readonly [label: string, text: string])[] }

/**
 * Writes a notice, in whole sentences.
 *
 * @param tokensPage where tokens are made
 */
export function writeLetter({ recipient, news }: Notice, now: Date, tokensPage: string): Letter {
  return {
    ...wordsOf(news, now),
    greeting: `Hello ${recipient.name},`,
    ...placeOf(news, tokensPage),
    closing: `You get this mail because ${reasonFor(news)} ${recipient.username}. An administrator can turn it off for you: gitgate user notices ${recipient.username} --off ${news.kind}`,
  }
}

function reasonFor({ kind }: News): string {
  if (isAboutAccount(kind)) return 'your account here is'
  return kind === 'expiring' || kind === 'expired' ? 'you own access tokens as' : 'you own this access token as'
}

function placeOf({ kind }: News, tokensPage: string): Pick<Letter, 'link'> {
  const link = isAboutAccount(kind)
    ? { label: 'Your sessions', url: new URL('active_sessions', tokensPage).href }
    : { label: 'Your tokens', url: tokensPage }
  return { link }
}

function isAboutAccount(kind: NoticeKind): boolean {
  return ACCOUNT_NOTICE_KINDS.some((one) => one === kind)
}

type Words = Omit<Letter, 'greeting' | 'link' | 'closing'>

const NOT_YOU = 'If you do not know of this, revoke the token and tell your administrator.'

function wordsOf(news: News, now: Date): Words {
  switch (news.kind) {
    case 'expiring':
      return expiring(news, now)
    case 'expired':
      return expired(news)
    case 'created':
      return {
        subject: `Access token ${quoted(news.token)} was created`,
        opening: `A new personal access token was made for your account, by ${doer(news.by)}.`,
        tokens: [{ name: news.token.name, lines: [...purpose(news.token), expiry(news.token, now)] }],
        more: undefined,
        advice: NOT_YOU,
      }
    case 'revoked':
      return {
        subject: `Access token ${quoted(news.token)} was revoked`,
        opening: `A personal access token of yours was revoked by ${doer(news.by)}. It works no more.`,
        tokens: [{ name: news.token.name, lines: [...why(news.rule), ...purpose(news.token), lastUse(news.token)] }],
        more: undefined,
        advice: 'What still needs access has to be given another token.',
      }
    case 'rotated':
      return {
        subject: `Access token ${quoted(news.token)} was rotated`,
        opening: `A personal access token of yours was given a new secret by ${doer(news.by)}. ${news.endsAt <= now ? 'The old secret works no more.' : `The old secret works until ${inWords(news.endsAt)}.`}`,
        tokens: [{ name: news.successor.name, lines: [...purpose(news.successor), expiry(news.successor, now)] }],
        more: undefined,
        advice: NOT_YOU,
      }
    case 'password-changed':
    case 'email-changed':
    case 'two-factor-enabled':
    case 'two-factor-disabled':
    case 'recovery-codes-renewed':
      return { ...accountWords(news), tokens: [], more: undefined }
    case 'new-address':
      return {
        subject: `Access token ${quoted(news.token)} was used from a new address`,
        opening: `A personal access token of yours was used from ${news.addresses.length + news.more === 1 ? 'an address' : 'addresses'} that it had not been used from before.`,
        tokens: [
          {
            name: news.token.name,
            lines: [
              ...news.addresses.map(({ ip, at }) => ['Address', `${ip}, first on ${inWords(at)}`] as const),
              ...purpose(news.token),
            ],
          },
        ],
        more: news.more === 0 ? undefined : `and from ${news.more} more addresses`,
        advice: `If that was you, there is nothing to do. If not, somebody has the token: revoke it and tell your administrator.`,
      }
  }
}

function expiring({ tokens, more }: { tokens: readonly NoticedToken[]; more: number }, now: Date): Words {
  const [first] = tokens
  const isOne = tokens.length + more === 1
  return {
    subject:
      isOne && first !== undefined && first.expiresAt !== null
        ? `Access token ${quoted(first)} will expire ${daysInWords(daysLeft(first.expiresAt, now))}`
        : `${tokens.length + more} of your access tokens will expire in under 7 days`,
    opening: `${isOne ? 'This personal access token of yours ends' : 'These personal access tokens of yours end'} within the next seven days. What uses ${isOne ? 'it' : 'them'} will be refused from then on.`,
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [expiry(token, now), ...purpose(token), lastUse(token)],
    })),
    more: andMore(more),
    advice: isOne
      ? 'If you still need it, rotate it or make a new one before it ends.'
      : 'Rotate those that you still need, or make new ones, before they end.',
  }
}

function expired({ tokens, more }: { tokens: readonly NoticedToken[]; more: number }): Words {
  const [first] = tokens
  const isOne = tokens.length + more === 1
  return {
    subject:
      isOne && first !== undefined
        ? `Access token ${quoted(first)} has expired`
        : `${tokens.length + more} of your access tokens have expired`,
    opening: `${isOne ? 'This personal access token of yours has' : 'These personal access tokens of yours have'} expired and ${isOne ? 'works' : 'work'} no more.`,
    tokens: tokens.map((token) => ({
      name: token.name,
      lines: [
        ['Expired', token.expiresAt === null ? 'never' : `on ${inWords(token.expiresAt)}`],
        ...purpose(token),
        lastUse(token),
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
function quoted({ name }: NoticedToken): string {
  return `'${printable(name)}'`
}

function why(rule: string | null): (readonly [string, string])[] {
  if (rule === null) return []
  const isLifetime = rule === 'max_personal_access_token_lifetime'
  return [['Why', isLifetime ? `it would live longer than this server allows (setting ${rule})` : rule]]
}

function purpose({ description, scopes }: NoticedToken): (readonly [string, string])[] {
  const what = description === null || description === '' ? [] : [['For', description] as const]
  return [...what, ['Scopes', scopes.join(', ')]]
}

function expiry({ expiresAt }: NoticedToken, now: Date): readonly [string, string] {
  return ['Expires', endInWords(expiresAt, now)]
}

function lastUse({ lastUsedAt }: NoticedToken): readonly [string, string] {
  return ['Last used', lastUsedAt === null ? 'never' : `on ${inWords(lastUsedAt)}`]
}

function andMore(more: number): string | undefined {
  return more === 0 ? undefined : `and ${more} more`
}
