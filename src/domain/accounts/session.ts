import { hash, randomBytes } from 'node:crypto'
import { DAY, MINUTE } from '../../core/clock.js'
import { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Account } from './account.js'

/** How a user signed in. */
export type SignInMethod = 'password' | 'totp' | 'recovery-code'

/** A browser session. */
export type Session = {
  readonly id: number
  readonly accountId: number
  readonly createdAt: Date
  /** Updated at most once a minute. */
  readonly lastSeenAt: Date
  /** The last address that used it. */
  readonly ip: string
  readonly userAgent: string | null
  /** `null`: the password was correct, but the second factor is missing. Such a session can't open any page. */
  readonly signedInBy: SignInMethod | null
}

/** A new session. The store keeps only the digest of its secret. */
export type NewSession = Pick<Session, 'ip' | 'userAgent' | 'signedInBy'> & {
  /** The account as it was when the user signed in. */
  readonly account: Pick<Account, 'id' | 'state' | 'passwordHash' | 'twoFactorEnabled'>
  readonly digest: Secret
  /** The session that the second factor completes, and which ends then; otherwise `null`. */
  readonly completes: number | null
}

/** How long sessions last. */
export type SessionLimits = {
  /** Milliseconds without a request. */
  readonly idle: number
}

/**
 * Stores sessions. A change to how an account signs in (its password, its second factor, a block) ends all its sessions in
 * the same transaction.
 */
export interface SessionStore {
  /**
   * Starts a session, and deletes expired ones.
   *
   * @returns `undefined` if the account's password, second factor or state has changed since, or the session to complete has
   *   ended: the check of the password may have been queued for seconds
   */
  start(context: AuditContext, session: NewSession, horizon: SessionHorizon): Promise<Session | undefined>
  findByDigest(digest: Secret): Promise<Session | undefined>
  /** Signed-in sessions of an account, most recently used first. */
  list(accountId: number): Promise<Session[]>
  /** Records that it was used. */
  touch(id: number, ip: string, now: Date): Promise<void>
  /** Ends a session of an account. @returns false if there is none */
  end(context: AuditContext, accountId: number, id: number): Promise<boolean>
  /** Ends all sessions of an account but one. @returns how many */
  endOthers(context: AuditContext, accountId: number, id: number): Promise<number>
  /** The state that pages keep between requests, encrypted in the store. */
  readState(id: number): Promise<Secret | undefined>
  /** Changes the state in one transaction, because requests of a session may run at once. */
  changeState(id: number, change: (state: Secret | undefined) => Secret | undefined): Promise<void>
}

// Users sign in again after a week, and enter the second factor within five minutes, in case they walk away in between.
const MAX_SESSION_MS = 7 * DAY
const SECOND_FACTOR_TIMEOUT_MS = 5 * MINUTE
const SEEN_INTERVAL_MS = MINUTE
// Two browsers that share a session must not cause a write for each request, either.
const OTHER_ADDRESS_INTERVAL_MS = 5_000
const SECRET_BYTES = 32

/** Generates a session's secret, for the cookie: 256 random bits. */
export function mintSessionSecret(): Secret {
  return new Secret(randomBytes(SECRET_BYTES).toString('base64url'), 'session')
}

/** The digest by which the store finds a session. */
export function sessionDigest(secret: Secret): Secret {
  return new Secret(hash('sha256', secret.reveal(), 'hex'), 'session digest')
}

/** When a session ends if it isn't used again. */
export function sessionEnd(
  session: Pick<Session, 'createdAt' | 'lastSeenAt' | 'signedInBy'>,
  limits: SessionLimits,
): Date {
  const begun = session.createdAt.getTime()
  if (session.signedInBy === null) return new Date(begun + SECOND_FACTOR_TIMEOUT_MS)
  return new Date(Math.min(begun + MAX_SESSION_MS, session.lastSeenAt.getTime() + limits.idle))
}

/** Milliseconds since 1970. Sessions that began or were last seen earlier have ended; `half` is for those without a second factor. */
export type SessionHorizon = { readonly begun: number; readonly seen: number; readonly half: number }

/** The oldest times of sessions that haven't ended. */
export function sessionHorizon(limits: SessionLimits, now: Date): SessionHorizon {
  const before = (milliseconds: number): number => now.getTime() - milliseconds
  return { begun: before(MAX_SESSION_MS), seen: before(limits.idle), half: before(SECOND_FACTOR_TIMEOUT_MS) }
}

/** Whether to record that a session was used. Recording each request would cost a write for each page. */
export function isSeenAnew(session: Session, ip: string, now: Date): boolean {
  const unseenMs = now.getTime() - session.lastSeenAt.getTime()
  return unseenMs >= (session.ip === ip ? SEEN_INTERVAL_MS : OTHER_ADDRESS_INTERVAL_MS)
}
