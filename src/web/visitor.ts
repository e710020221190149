import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Account } from '../domain/accounts/account.js'
import type { Session, SignInMethod } from '../domain/accounts/session.js'
import {
  isSeenAnew,
  mintSessionSecret,
  sessionDigest,
  sessionEnd,
  sessionHorizon,
  type SessionLimits,
} from '../domain/accounts/session.js'
import type { Actor } from '../domain/audit/event.js'
import { auditEvent, keptUserAgent, THE_GATE } from '../domain/audit/event.js'
import { MINUTE } from '../core/clock.js'
import type { RequestContext } from '../core/http.js'
import type { Cookies } from './cookies.js'
import { Elsewhere } from './errors.js'
import type { WebOptions, WebStores } from './options.js'

/** Somebody who is signed in. */
export type Member = {
  readonly kind: 'member'
  readonly account: Account
  readonly session: Session
  /** For changes on their behalf. */
  readonly stores: WebStores
  /** Whether they are sent no page, so that nothing that is shown once is used up. */
  readonly isHead: boolean
  /** From when on they need a second factor, and have none yet. */
  readonly twoFactorDeadline: Date | undefined
}

/** Somebody whose password was right, and whose second factor is still to come: may do nothing else. */
export type HalfSignedIn = {
  readonly kind: 'half-signed-in'
  readonly account: Account
  readonly session: Session
  readonly stores: WebStores
  readonly isHead: boolean
}

/** Who asks for a page. */
export type Visitor = { readonly kind: 'stranger' } | HalfSignedIn | Member

/** Finds out whose session a request belongs to. A block, or the end of the session, counts at once. */
export async function identifyVisitor(
  request: FastifyRequest,
  cookies: Cookies,
  options: WebOptions,
): Promise<Visitor> {
  const secret = cookies.session(request)
  if (secret === undefined) return { kind: 'stranger' }
  const session = await options.sessions.findByDigest(sessionDigest(secret))
  const now = options.access.now()
  if (session === undefined || sessionEnd(session, await sessionLimits(options)) <= now) return { kind: 'stranger' }
  const account = await options.accounts.find(session.accountId)
  if (account?.state !== 'active') return { kind: 'stranger' }
  const stores = options.as(actorOf(request.context, account), { kind: 'session', id: session.id })
  const isHead = request.method === 'HEAD'
  if (session.signedInBy === null) return { kind: 'half-signed-in', account, session, stores, isHead }
  request.context.record.user = account.username
  const { ip } = request.context
  // That it was seen is no reason to fail: another writer may be at work.
  if (isSeenAnew(session, ip, now)) await options.sessions.touch(session.id, ip, now).catch(options.onError)
  return {
    kind: 'member',
    account,
    session,
    stores,
    isHead,
    twoFactorDeadline: await options.access.twoFactorDeadline(account),
  }
}

/**
 * Begins a session with a new secret, which a browser that somebody prepared does not know (session fixation); the one
 * that the request came with, if any, ends.
 *
 * @param account as it was when its password was checked
 * @param by how they signed in; `null`: the second factor is still to come
 * @throws Elsewhere to the sign-in page when the account signs in differently by now
 */
export async function beginSession(
  request: FastifyRequest,
  reply: FastifyReply,
  account: Account,
  by: SignInMethod | null,
  cookies: Cookies,
  options: WebOptions,
): Promise<Session> {
  const { visitor, context: context } = request
  const stores = options.as(actorOf(context, account))
  const completes = visitor.kind === 'half-signed-in' && by !== null ? visitor.session.id : null
  if (visitor.kind !== 'stranger' && completes === null)
    await stores.sessions.end(visitor.account.id, visitor.session.id)
  const secret = mintSessionSecret()
  const { ip, userAgent } = actorOf(context, account)
  const session = await stores.sessions.start(
    { account, digest: sessionDigest(secret), ip: ip ?? '', userAgent, signedInBy: by, completes },
    sessionHorizon(await sessionLimits(options), options.access.now()),
  )
  if (session === undefined) {
    const refusal = { action: 'auth.refused', decision: 'refused', rule: 'account changed during sign-in' } as const
    options.recorder.noteRefusal(auditEvent(actorOf(context, account), options.access.now(), refusal))
    throw new Elsewhere('/users/sign_in?from=change')
  }
  cookies.beginSession(reply, secret)
  return session
}

/** How long sessions last now. */
export async function sessionLimits({ access }: Pick<WebOptions, 'access'>): Promise<SessionLimits> {
  return { idle: (await access.settings()).session_expire_delay * MINUTE }
}

/** Who is signed in. @throws TypeError on a page that is for strangers, too */
export function memberOf({ visitor }: FastifyRequest): Member {
  if (visitor.kind !== 'member') throw new TypeError('only members get here')
  return visitor
}

/** Who does something in a browser. */
export function actorOf({ ip, requestId, request }: RequestContext, account: Account | undefined): Actor {
  return {
    ...THE_GATE,
    via: 'web',
    accountId: account?.id ?? null,
    username: account?.username ?? null,
    ip,
    userAgent: keptUserAgent(request.headers['user-agent']),
    requestId,
  }
}
