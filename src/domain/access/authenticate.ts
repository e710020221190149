import type { Account } from '../accounts/account.js'
import type { Passwords } from '../accounts/password.js'
import { utcDate } from '../../core/clock.js'
import { Secret } from '../../core/secret.js'
import { tokenOnlyReason } from '../policies/password-use.js'
import type { Settings } from '../policies/settings.js'
import { limitsRefs } from '../tokens/restriction.js'
import type { SecretShape } from '../tokens/token-secret.js'
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

/** Whether its token limits which refs it can push. */
export function pushesSomeRefsOnly(identity: Identity): boolean {
  return identity.kind === 'token' && limitsRefs(identity.token.restrictions)
}

/** The principal whose credentials were refused, if known. */
export type FailedPrincipal = { readonly account: Account; readonly token: PersonalAccessToken | undefined }

/** The result of authentication; `rule` names what decided, for the log. */
export type Authentication =
  | { readonly kind: 'identified'; readonly identity: Identity }
  | {
      readonly kind: 'refused'
      readonly refusal: Refusal
      readonly rule: string
      readonly failedPrincipal?: FailedPrincipal
    }

/** What authentication depends on. */
export type AuthenticationMeans = {
  readonly bans: Bans
  readonly passwords: Passwords
  readonly memory: Pick<AccessMemory, 'current'>
  readonly guesses: GuessLimits
}

/**
 * Authenticates a Git request, in GitLab's order: first the ban on the address, then the password as a token (whatever the
 * username), then as a password. A request with wrong credentials is never treated as anonymous.
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
      ? {
          kind: 'failed',
          refusal: { kind: 'credentials-malformed', reason: credential.reason },
          rule: 'malformed Basic',
        }
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

/** The login that a password was given for; `undefined` for a token, or for credentials that can't be read. */
function loginOf(credential: Credential, settings: Settings): string | undefined {
  return credential.kind === 'basic' && tokenIn(credential, settings) === undefined ? credential.username : undefined
}

// The passwords that programs send if the token is the username.
const PASSWORD_FILLERS: ReadonlySet<string> = new Set(['', 'x-oauth-basic'])

/** The token in the credentials, perhaps mistyped, and where it is; `undefined` for a password. */
function tokenIn(
  credential: Credential & { readonly kind: 'basic' | 'token' },
  settings: Settings,
): { readonly secret: Secret; readonly shape: SecretShape; readonly isMisplaced: boolean } | undefined {
  const shapeOf = (secret: Secret): SecretShape =>
    secretShape(secret, [settings.personal_access_token_prefix, DEFAULT_PREFIX])
  if (credential.kind === 'token') return { ...credential, shape: shapeOf(credential.secret), isMisplaced: false }
  const { username, password } = credential
  const shape = shapeOf(password)
  if (shape !== 'other') return { secret: password, shape, isMisplaced: false }
  const secret = new Secret(username, 'token')
  const usernameShape = shapeOf(secret)
  const isMisplaced = !PASSWORD_FILLERS.has(password.reveal())
  // A username may begin like a token.
  const isToken = usernameShape === 'token' || (usernameShape === 'broken-token' && !isMisplaced)
  return isToken ? { secret, shape: usernameShape, isMisplaced } : undefined
}

/**
 * Checks an identity again in a later security epoch.
 *
 * @returns the identity with its current rows, or the rule that makes it invalid
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

/** Why a token can't be used, apart from its expiry; `undefined` if it can. */
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
  credential: Credential & { readonly kind: 'basic' | 'token' },
  ip: string,
  snapshot: Snapshot,
  settings: Settings,
  means: AuthenticationMeans,
  now: Date,
): Promise<Verdict> {
  const token = tokenIn(credential, settings)
  if (token?.isMisplaced === true)
    return { kind: 'failed', refusal: { kind: 'token-misplaced' }, rule: 'token as the username' }
  if (token?.shape === 'token') return verifyToken(token.secret, snapshot, settings, now)
  if (token?.shape === 'broken-token')
    return { kind: 'failed', refusal: { kind: 'token-mistyped' }, rule: 'token with a wrong checksum' }
  if (credential.kind === 'token') return wrong('no token')
  const leave = await means.bans.admit(ip, settings)
  if (leave === undefined) return refused('busy', 'too many password checks from this address')
  try {
    return await verifyPassword(credential.username, credential.password, ip, snapshot, settings, means, now)
  } finally {
    leave()
  }
}

async function verifyToken(secret: Secret, snapshot: Snapshot, settings: Settings, now: Date): Promise<Verdict> {
  // An index finds it by its SHA-256, so the time reveals nothing about other tokens.
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
  // A client with the complete secret is the token's holder, and may learn its state.
  const refusal = { kind: 'token-over', token: token.name, state, on: utcDate(over) } as const
  return { kind: 'failed', refusal, rule: reason, failedPrincipal }
}

/** The state of a token that is sent alone, as to the API. */
export type TokenVerdict =
  | { readonly kind: 'identified'; readonly token: PersonalAccessToken; readonly account: Account }
  | { readonly kind: 'unknown' }
  /** It was valid once. */
  | {
      readonly kind: 'expired' | 'revoked' | 'impersonation-off' | 'tokens-off' | 'blocked'
      readonly token: PersonalAccessToken
      readonly account: Account
    }

/** Finds the token of a secret, in GitLab's order: expired, then revoked, then everything else. */
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
  // The check may have been queued for seconds, so the current state decides.
  const latest = await memory.current()
  const today = latest.epoch === snapshot.epoch ? account : await latest.findAccountById(account.id)
  if (today?.passwordHash?.reveal() !== account.passwordHash?.reveal())
    return wrong('password changed', failedPrincipal)
  if (today === undefined || today.state === 'blocked') return wrong('account blocked', failedPrincipal)
  const reason = tokenOnlyReason(today, await latest.settings(), now, await latest.twoFactorRequiredSince())
  // The password was correct, so this isn't a guess and doesn't count towards a ban.
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

/** The credentials of a request. */
export type Credential =
  /** None, or a scheme that Git's routes ignore. */
  | { readonly kind: 'none' }
  /** The Basic scheme (RFC 7617). The username may be empty, and so may the password. */
  | { readonly kind: 'basic'; readonly username: string; readonly password: Secret }
  /** A token alone. */
  | { readonly kind: 'token'; readonly secret: Secret }
  /** The Basic scheme, but malformed. */
  | { readonly kind: 'malformed'; readonly reason: string }

const SCHEME = /^(basic|bearer)(?: +(.*))?$/i
// RFC 4648 with or without padding; `Buffer.from` would skip all other characters.
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
// RFC 5234: CTL. Bytes above 127 are letters in some encoding.
const CONTROL = /[\0-\x1f\x7f]/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads the credential of a request: Basic, `Bearer TOKEN`, or a `PRIVATE-TOKEN` header.
 *
 * @param authorization the `Authorization` header
 * @param privateToken the `PRIVATE-TOKEN` header of GitLab's API, used if the other one has no credentials
 */
export function parseCredential(authorization: string | undefined, privateToken?: string): Credential {
  const match = authorization === undefined ? null : SCHEME.exec(authorization.trim())
  if (match === null) return privateToken === undefined ? { kind: 'none' } : tokenAlone(privateToken)
  const [, scheme = '', value = ''] = match
  return scheme.toLowerCase() === 'bearer' ? tokenAlone(value) : parseBasic(value)
}

function tokenAlone(text: string): Credential {
  return { kind: 'token', secret: new Secret(text.trim(), 'token') }
}

function parseBasic(encoded: string): Credential {
  if (encoded === '' || !BASE64.test(encoded)) return { kind: 'malformed', reason: 'it is not Base64' }
  const bytes = Buffer.from(encoded, 'base64')
  // Older clients send Latin-1, and with a token the username doesn't matter.
  // A secret that was read from a file may end in a line break.
  const text = (decodeUtf8(bytes) ?? bytes.toString('latin1')).replace(/\r?\n$/, '')
  const colon = text.indexOf(':')
  if (colon === -1) return { kind: 'malformed', reason: 'it has no colon between the username and the password' }
  // RFC 7617, 2: neither part may hold control characters.
  if (CONTROL.test(text)) return { kind: 'malformed', reason: 'it has a control character, such as a line break' }
  return { kind: 'basic', username: text.slice(0, colon), password: new Secret(text.slice(colon + 1), 'password') }
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
