import type { Account } from '../accounts/account.js'
import type { Passwords } from '../accounts/password.js'
import { utcDate } from '../../core/clock.js'
import { Secret } from '../../core/secret.js'
import { tokenOnlyReason } from '../policies/password-use.js'
import type { Settings } from '../policies/settings.js'
import { limitsRefs } from '../tokens/restriction.js'
import { DEFAULT_PREFIX, digestSecret, secretShape } from '../tokens/token-secret.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import { tokenState } from '../tokens/token.js'
import type { Bans } from './ban.js'
import type { GuessLimits } from './guess-limits.js'
import type { AccessMemory, Snapshot, VerifiedToken } from './memory.js'
import type { Refusal } from './refusal.js'

/** Who makes a request. */
export type Identity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'token'; readonly account: Account; readonly token: PersonalAccessToken }
  | { readonly kind: 'password'; readonly account: Account }

/** The account behind an identity. */
export function accountOf(identity: Identity): Account | undefined {
  return identity.kind === 'anonymous' ? undefined : identity.account
}

/** Whether its token lets it push some refs only. */
export function pushesSomeRefsOnly(identity: Identity): boolean {
  return identity.kind === 'token' && limitsRefs(identity.token.restrictions)
}

/** Whose credentials were refused, as far as that is known. */
export type FailedPrincipal = { readonly account: Account; readonly token: PersonalAccessToken | undefined }

/** What came of the credentials; `rule` names what decided, for the log. */
export type Authentication =
  | { readonly kind: 'identified'; readonly identity: Identity }
  | {
      readonly kind: 'refused'
      readonly refusal: Refusal
      readonly rule: string
      readonly failedPrincipal?: FailedPrincipal
    }

/** What authentication needs of the gate. */
export type AuthenticationMeans = {
  readonly bans: Bans
  readonly passwords: Passwords
  readonly memory: Pick<AccessMemory, 'current'>
  readonly guesses: GuessLimits
}

/**
 * Finds out who makes a Git request, in GitLab's order: the ban on the address, then the password as a token (whatever
 * the username), then as a password. Credentials that are given and wrong never fall back to anonymous reading.
 *
 * @param ip the client's address
 */
export async function authenticate(
  credential: Credential,
  ip: string,
  snapshot: Snapshot,
  means: AuthenticationMeans,
  now: Date,
): Promise<Authentication> {
  if (credential.kind === 'none') return { kind: 'identified', identity: { kind: 'anonymous' } }
  const settings = await snapshot.settings()
  if (await means.bans.isBanned(ip, settings)) return refused('banned', 'address banned')

  const verdict: Verdict =
    credential.kind === 'malformed'
      ? { kind: 'failed', refusal: { kind: 'credentials-malformed' }, rule: 'malformed Basic' }
      : await verify(credential, ip, snapshot, settings, means, now)
  switch (verdict.kind) {
    case 'identified':
      await means.bans.recordSuccess(ip, settings, loginOf(credential, settings))
      return verdict
    case 'failed':
      await means.bans.recordFailure(ip, settings, loginOf(credential, settings))
      return { ...verdict, kind: 'refused' }
    case 'refused':
      return verdict
  }
}

/** For which login a password was given; `undefined`: a token was, or nothing that can be read. */
function loginOf(credential: Credential, settings: Settings): string | undefined {
  if (credential.kind !== 'basic') return undefined
  const prefixes = [settings.personal_access_token_prefix, DEFAULT_PREFIX]
  return secretShape(credential.password, prefixes) === 'other' ? credential.username : undefined
}

/**
 * Whether an identity still is what it was, in a later security epoch.
 *
 * @returns the identity with today's rows, or the rule by which it is none any more
 */
export async function reidentify(identity: Identity, snapshot: Snapshot, now: Date): Promise<Identity | string> {
  const settings = await snapshot.settings()
  switch (identity.kind) {
    case 'anonymous':
      return identity
    case 'token': {
      const found = await snapshot.findTokenById(identity.token.id)
      if (found === undefined) return 'account deleted'
      return unusableReason(found, settings, now) ?? { kind: 'token', account: found.owner, token: found.token }
    }
    case 'password': {
      const account = await snapshot.findAccountById(identity.account.id)
      if (account === undefined) return 'account deleted'
      if (account.state === 'blocked') return 'account blocked'
      if (account.passwordHash?.reveal() !== identity.account.passwordHash?.reveal()) return 'password changed'
      const since = await snapshot.twoFactorRequiredSince()
      return tokenOnlyReason(account, settings, now, since) ?? { kind: 'password', account }
    }
  }
}

/** Why a token can't be used, but for its expiry, or `undefined`. */
function unusableReason({ token, owner }: VerifiedToken, settings: Settings, now: Date): string | undefined {
  if (settings.disable_personal_access_tokens) return 'disable_personal_access_tokens'
  if (tokenState(token, now, false) === 'revoked') return 'token revoked'
  if (token.impersonation && !settings.impersonation_enabled) return 'impersonation_enabled is off'
  return owner.state === 'blocked' ? 'account blocked' : undefined
}

/** `failed` counts towards a ban; `refused` does not. */
type Verdict =
  | Authentication
  | {
      readonly kind: 'failed'
      readonly refusal: Refusal
      readonly rule: string
      readonly failedPrincipal?: FailedPrincipal
    }

async function verify(
  credential: Credential & { readonly kind: 'basic' },
  ip: string,
  snapshot: Snapshot,
  settings: Settings,
  means: AuthenticationMeans,
  now: Date,
): Promise<Verdict> {
  const shape = secretShape(credential.password, [settings.personal_access_token_prefix, DEFAULT_PREFIX])
  switch (shape) {
    case 'token':
      return verifyToken(credential.password, snapshot, settings, now)
    case 'broken-token':
      return wrong('token with a wrong checksum')
    case 'other': {
      const leave = await means.bans.admit(ip, settings)
      if (leave === undefined) return refused('busy', 'too many password checks from this address')
      try {
        return await verifyPassword(credential.username, credential.password, ip, snapshot, settings, means, now)
      } finally {
        leave()
      }
    }
  }
}

async function verifyToken(secret: Secret, snapshot: Snapshot, settings: Settings, now: Date): Promise<Verdict> {
  // Found by its SHA-256 in an index: the time that takes tells nothing about other tokens.
  const found = await snapshot.findToken(digestSecret(secret))
  if (found === undefined) return wrong('unknown token')
  const { token, owner } = found
  const state = tokenState(token, now, settings.enforce_pat_expiration)
  const reason = state === 'expired' ? 'token expired' : unusableReason(found, settings, now)
  if (reason === undefined) return { kind: 'identified', identity: { kind: 'token', account: owner, token } }
  const failedPrincipal = { account: owner, token }
  if (settings.disable_personal_access_tokens && state !== 'expired') {
    return { kind: 'failed', refusal: { kind: 'tokens-off' }, rule: reason, failedPrincipal }
  }
  const over = state === 'expired' ? token.expiresAt : token.revokedAt
  if (state === 'active' || over === null) return wrong(reason, failedPrincipal)
  // Whoever gives the whole secret holds the token, and may know what became of it.
  const refusal = { kind: 'token-over', token: token.name, state, on: utcDate(over) } as const
  return { kind: 'failed', refusal, rule: reason, failedPrincipal }
}

/** What a token turns out to be that is presented by itself, as to the API. */
export type TokenVerdict =
  | { readonly kind: 'identified'; readonly token: PersonalAccessToken; readonly account: Account }
  | { readonly kind: 'unknown' }
  /** It was good once. */
  | {
      readonly kind: 'expired' | 'revoked' | 'impersonation-off' | 'tokens-off' | 'blocked'
      readonly token: PersonalAccessToken
      readonly account: Account
    }

/** Finds out whose token a secret is, in GitLab's order: expired, then revoked, then all else. */
export async function identifyToken(secret: Secret, snapshot: Snapshot, now: Date): Promise<TokenVerdict> {
  const found = await snapshot.findToken(digestSecret(secret))
  if (found === undefined) return { kind: 'unknown' }
  const { token, owner: account } = found
  const settings = await snapshot.settings()
  const state = tokenState(token, now, settings.enforce_pat_expiration)
  if (state !== 'active') return { kind: state, token, account }
  if (settings.disable_personal_access_tokens) return { kind: 'tokens-off', token, account }
  if (token.impersonation && !settings.impersonation_enabled) return { kind: 'impersonation-off', token, account }
  return { kind: account.state === 'blocked' ? 'blocked' : 'identified', token, account }
}

async function verifyPassword(
  login: string,
  password: Secret,
  ip: string,
  snapshot: Snapshot,
  settings: Settings,
  { passwords, memory, guesses }: AuthenticationMeans,
  now: Date,
): Promise<Verdict> {
  if (!settings.password_authentication_enabled_for_git) {
    return { kind: 'failed', refusal: { kind: 'token-required', reason: 'passwords-off' }, rule: 'passwords off' }
  }
  if (password.reveal() === '') return wrong('empty password')
  const account = await snapshot.findAccount(login)
  const guess = await guesses.take(login, account, ip)
  if (guess.kind === 'throttled') return refused('busy', 'too many guesses at this login')
  const answer = await passwords.check(guess.isHopeless ? undefined : account, password)
  if (answer === 'busy') {
    await guess.giveBack()
    return refused('busy', 'too many password checks')
  }
  if (account === undefined) return wrong('wrong password')
  const failedPrincipal = { account, token: undefined }
  if (answer === 'wrong') return wrong('wrong password', failedPrincipal)
  await guess.succeed()
  // The check may have waited for seconds: what holds now decides.
  const latest = await memory.current()
  const today = latest.epoch === snapshot.epoch ? account : await latest.findAccountById(account.id)
  if (today?.passwordHash?.reveal() !== account.passwordHash?.reveal())
    return wrong('password changed', failedPrincipal)
  if (today === undefined || today.state === 'blocked') return wrong('account blocked', failedPrincipal)
  const reason = tokenOnlyReason(today, await latest.settings(), now, await latest.twoFactorRequiredSince())
  // The password was right, so this is no guess and doesn't count towards a ban.
  if (reason !== undefined)
    return { kind: 'refused', refusal: { kind: 'token-required', reason }, rule: reason, failedPrincipal }
  return { kind: 'identified', identity: { kind: 'password', account: today } }
}

function wrong(rule: string, failedPrincipal?: FailedPrincipal): Verdict {
  const verdict = { kind: 'failed', refusal: { kind: 'credentials-wrong' }, rule } as const
  return failedPrincipal === undefined ? verdict : { ...verdict, failedPrincipal }
}

function refused(kind: 'banned' | 'busy', rule: string): Authentication {
  return { kind: 'refused', refusal: { kind }, rule }
}

/** What the `Authorization` header of a request holds. */
export type Credential =
  /** No header, or a scheme that Git's routes don't look at, such as Bearer (GitLab: as if nothing was given). */
  | { readonly kind: 'none' }
  /** The Basic scheme (RFC 7617). The username may be empty, and so may the password. */
  | { readonly kind: 'basic'; readonly username: string; readonly password: Secret }
  /** The Basic scheme, but not base64, not UTF-8, or without a colon. */
  | { readonly kind: 'malformed' }

const BASIC = /^basic(?: +(.*))?$/i
// RFC 4648 with or without its padding; `Buffer.from` would skip over anything else.
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const CONTROL = /\p{Cc}/u
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads an `Authorization` header. */
export function parseAuthorization(header: string | undefined): Credential {
  const match = header === undefined ? null : BASIC.exec(header.trim())
  if (match === null) return { kind: 'none' }
  const encoded = match[1] ?? ''
  const text = BASE64.test(encoded) ? decodeUtf8(Buffer.from(encoded, 'base64')) : undefined
  const colon = text?.indexOf(':') ?? -1
  // RFC 7617, 2: neither part may hold control characters.
  if (text === undefined || colon === -1 || CONTROL.test(text)) return { kind: 'malformed' }
  return { kind: 'basic', username: text.slice(0, colon), password: new Secret(text.slice(colon + 1), 'password') }
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
