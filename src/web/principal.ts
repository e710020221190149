import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Account } from '../domain/accounts/account.js'
import type { Session, SessionStore, SignInMethod } from '../domain/accounts/session.js'
import {
  isSeenAnew,
  mintSessionSecret,
  sessionDigest,
  sessionEnd,
  sessionHorizon,
  type SessionLimits,
} from '../domain/accounts/session.js'
import type { AuditContext } from '../domain/audit/event.js'
import { auditEvent, requestActor } from '../domain/audit/event.js'
import { MINUTE } from '../core/clock.js'
import type { Cookies } from './cookies.js'
import { Redirect } from './page-errors.js'
import type { WebOptions } from './web-options.js'

/** A signed-in user. */
export type Member = {
  readonly kind: 'member'
  readonly account: Account
  readonly session: Session
  /** Keeps the session's state between requests. */
  readonly sessions: SessionStore
  /** For changes on behalf of the account. */
  readonly auditContext: AuditContext
  /** Whether the request is a HEAD, which must not use up a one-time display. */
  readonly isHead: boolean
  /** When they must have set up a second factor, if they have none yet. */
  readonly twoFactorDeadline: Date | undefined
}

/** A user who still has to enter the second factor, and can do nothing else. */
export type PendingTwoFactor = {
  readonly kind: 'pending-two-factor'
  readonly account: Account
  readonly session: Session
  readonly sessions: SessionStore
  readonly auditContext: AuditContext
  readonly isHead: boolean
}

/** Who sends a request. */
export type Principal = { readonly kind: 'anonymous' } | PendingTwoFactor | Member

/** Finds the session that a request belongs to. A block, or the end of the session, takes effect immediately. */
export async function identifyPrincipal(
  request: FastifyRequest,
  cookies: Cookies,
  options: WebOptions,
): Promise<Principal> {
  const secret = cookies.session(request)
  if (secret === undefined) return { kind: 'anonymous' }
  const session = await options.sessions.findByDigest(sessionDigest(secret))
  const now = options.access.now()
  if (session === undefined || sessionEnd(session, await sessionLimits(options)) <= now) return { kind: 'anonymous' }
  const account = await options.accounts.find(session.accountId)
  if (account?.state !== 'active') return { kind: 'anonymous' }
  const { sessions } = options
  const authority = { kind: 'session', id: session.id } as const
  const auditContext = { actor: requestActor('web', request.context, account), authority }
  const isHead = request.method === 'HEAD'
  if (session.signedInBy === null)
    return { kind: 'pending-two-factor', account, session, sessions, auditContext, isHead }
  request.context.record.user = account.username
  const { ip } = request.context
  // The page neither waits for the last use to be written, such as while another process writes, nor fails if it can't be.
  if (isSeenAnew(session, ip, now)) options.sessions.touch(session.id, ip, now).catch(options.onError)
  return {
    kind: 'member',
    account,
    session,
    sessions,
    auditContext,
    isHead,
    twoFactorDeadline: await options.access.twoFactorDeadline(account),
  }
}

/**
 * Starts a session with a new secret, so that a secret that an attacker has planted is useless (session fixation). Ends the
 * session of the request, if any.
 *
 * @param account as it was when its password was checked
 * @param by how the user signed in; `null` while the second factor is missing
 * @throws Redirect to the sign-in page if the account's password or second factor has changed since
 */
export async function beginSession(
  request: FastifyRequest,
  reply: FastifyReply,
  account: Account,
  by: SignInMethod | null,
  cookies: Cookies,
  options: WebOptions,
): Promise<Session> {
  const { principal, context } = request
  const actor = requestActor('web', context, account)
  const completes = principal.kind === 'pending-two-factor' && by !== null ? principal.session.id : null
  if (principal.kind !== 'anonymous' && completes === null)
    await options.sessions.end({ actor }, principal.account.id, principal.session.id)
  const secret = mintSessionSecret()
  const session = await options.sessions.start(
    { actor },
    {
      account,
      digest: sessionDigest(secret),
      ip: actor.ip ?? '',
      userAgent: actor.userAgent,
      signedInBy: by,
      completes,
    },
    sessionHorizon(await sessionLimits(options), options.access.now()),
  )
  if (session === undefined) {
    const refusal = { action: 'auth.refused', decision: 'refused', rule: 'account changed during sign-in' } as const
    options.recorder.noteRefusal(auditEvent(actor, options.access.now(), refusal))
    throw new Redirect('/users/sign_in?from=change')
  }
  cookies.beginSession(reply, secret)
  return session
}

/** How long sessions last, by the current settings. */
export async function sessionLimits({ access }: Pick<WebOptions, 'access'>): Promise<SessionLimits> {
  return { idle: (await access.settings()).session_expire_delay * MINUTE }
}

/** The signed-in user. @throws TypeError on pages that are open to anonymous requests */
export function memberOf({ principal }: FastifyRequest): Member {
  if (principal.kind !== 'member') throw new TypeError('only members get here')
  return principal
}
