import { hash, randomBytes } from 'node:crypto'
import { DAY, MINUTE } from '../../core/clock.js'
import { Secret } from '../../core/secret.js'
import type { AuditContext } from '../audit/event.js'
import type { Account } from './account.js'

/** How somebody proved who they are. */
export type SignInMethod = 'password' | 'totp' | 'recovery-code'

/** Somebody at a browser. */
export type Session = {
  readonly id: number
  readonly accountId: number
  readonly createdAt: Date
  /** Moves at most once a minute. */
  readonly lastSeenAt: Date
  /** Where it was seen last. */
  readonly ip: string
  readonly userAgent: string | null
  /** `null`: the password was right, and the second factor is still to come. Such a session opens nothing. */
  readonly signedInBy: SignInMethod | null
}

/** What begins a session; of its secret the store keeps the digest. */
export type NewSession = Pick<Session, 'ip' | 'userAgent' | 'signedInBy'> & {
  /** As it was when they proved who they are. */
  readonly account: Pick<Account, 'id' | 'state' | 'passwordHash' | 'twoFactorEnabled'>
  readonly digest: Secret
  /** The session that the second factor completes; it ends with that. `null` in all other cases. */
  readonly completes: number | null
}

/** How long sessions last. */
export type SessionLimits = {
  /** Milliseconds without a request. */
  readonly idle: number
}

/**
 * Where sessions are kept. What changes how an account signs in (its password, its second factor, a block) ends all its
 * sessions in the same transaction.
 */
export interface SessionStore {
  /**
   * Begins a session, and forgets those that are over.
   *
   * @returns `undefined` when the account's password, second factor or state has changed since, or the session to be
   *   completed has ended: checking a password may have waited for seconds
   */
  start(context: AuditContext, session: NewSession, horizon: SessionHorizon): Promise<Session | undefined>
  findByDigest(digest: Secret): Promise<Session | undefined>
  /** Signed-in sessions of an account, the last seen first. */
  list(accountId: number): Promise<Session[]>
  /** Notes that it was seen. */
  touch(id: number, ip: string, now: Date): Promise<void>
  /** Ends a session of an account. @returns false when there is none */
  end(context: AuditContext, accountId: number, id: number): Promise<boolean>
  /** Ends all sessions of an account but one. @returns how many */
  endOthers(context: AuditContext, accountId: number, id: number): Promise<number>
  /** The state that pages keep between two requests; encrypted in the store. */
  readState(id: number): Promise<Secret | undefined>
  /** Changes the state in one transaction: two requests of a session may come at once. */
  changeState(id: number, change: (state: Secret | undefined) => Secret | undefined): Promise<void>
}

// Somebody who walked away must come back within this time to go on; a working week at most without signing in again.
const MAX_SESSION_MS = 7 * DAY
const SECOND_FACTOR_TIMEOUT_MS = 5 * MINUTE
const SEEN_INTERVAL_MS = MINUTE
// Two browsers of one session must not cause a write with each request either.
const OTHER_ADDRESS_INTERVAL_MS = 5_000
const SECRET_BYTES = 32

/** A new session's secret, for the cookie: 256 random bits. */
export function mintSessionSecret(): Secret {
  return new Secret(randomBytes(SECRET_BYTES).toString('base64url'), 'session')
}

/** What the store knows a session by. */
export function sessionDigest(secret: Secret): Secret {
  return new Secret(hash('sha256', secret.reveal(), 'hex'), 'session digest')
}

/** When a session ends if nothing is heard of it any more. */
export function sessionEnd(
  session: Pick<Session, 'createdAt' | 'lastSeenAt' | 'signedInBy'>,
  limits: SessionLimits,
): Date {
  const begun = session.createdAt.getTime()
  if (session.signedInBy === null) return new Date(begun + SECOND_FACTOR_TIMEOUT_MS)
  return new Date(Math.min(begun + MAX_SESSION_MS, session.lastSeenAt.getTime() + limits.idle))
}

/** Milliseconds since 1970: a session that was begun or seen last no later is over; `half`: one without its second factor. */
export type SessionHorizon = { readonly begun: number; readonly seen: number; readonly half: number }

/** From when on sessions are not over yet. */
export function sessionHorizon(limits: SessionLimits, now: Date): SessionHorizon {
  const before = (milliseconds: number): number => now.getTime() - milliseconds
  return { begun: before(MAX_SESSION_MS), seen: before(limits.idle), half: before(SECOND_FACTOR_TIMEOUT_MS) }
}

/** Whether it is time to note that a session was seen: not with each request, or each page would cost a write. */
export function isSeenAnew(session: Session, ip: string, now: Date): boolean {
  const unseenMs = now.getTime() - session.lastSeenAt.getTime()
  return unseenMs >= (session.ip === ip ? SEEN_INTERVAL_MS : OTHER_ADDRESS_INTERVAL_MS)
}
