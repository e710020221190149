import type { FastifyRequest } from 'fastify'
import type { Account } from '../../domain/accounts/account.js'
import type { TokenVerdict } from '../../domain/access/authenticate.js'
import type { Actor, AuditContext } from '../../domain/audit/event.js'
import { auditEvent, requestActor } from '../../domain/audit/event.js'
import type { RequestContext } from '../../core/http.js'
import { MAX_CREDENTIAL_BODY } from '../../core/http.js'
import { Secret } from '../../core/secret.js'
import type { Scope } from '../../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { isLimited } from '../../domain/tokens/token.js'
import { ApiError, badParameter, forbidden, insufficientScope, invalidToken, unauthorized } from './api-errors.js'
import type { ApiOptions } from './api-options.js'

/** The caller of the API and the token. With `sudo` the account is not the token's owner. */
export type Caller = {
  readonly account: Account
  readonly token: PersonalAccessToken
  /** The stores, for changes on the caller's behalf. */
  readonly auditContext: AuditContext
}

/** What a route requires of its caller. */
export type RouteNeeds = {
  /** One of these scopes is enough; `any`: no scope is needed. */
  readonly scopes: readonly Scope[] | 'any'
  readonly admin: boolean
  /** Whether a limited token may change something here. What it creates must not be less limited. */
  readonly takesLimited: boolean
}

/** The dependencies of authentication. */
export type CallerOptions = Pick<ApiOptions, 'access' | 'accounts' | 'tokens' | 'recorder'>

const REVOKED = 'Token was revoked. You have to re-authorize from the user.'
const EXPIRED = 'Token is expired. You can either do re-authorization or token refresh.'
const IMPERSONATION_OFF = 'Token is an impersonation token but impersonation was disabled.'

/** A valid token with its account. */
export type Identified = Extract<TokenVerdict, { readonly kind: 'identified' }> & {
  readonly secret: Secret
  /** The security epoch at which it was identified. */
  readonly epoch: number
}

/**
 * Authenticates a request by its token.
 *
 * @param context its log line gets the account
 * @param secret by default the one that the request presents
 * @throws ApiError
 */
export async function identifyToken(
  request: FastifyRequest,
  context: RequestContext,
  options: CallerOptions,
  secret: Secret | undefined = secretOf(request),
): Promise<Identified> {
  const { access } = options
  if (secret === undefined) throw unauthorized()
  const verdict = await access.identifyToken(secret, context.ip)
  if (verdict.kind !== 'identified') {
    context.record.rule = RULES[verdict.kind]
    const { account, token } = verdict.kind === 'unknown' ? {} : verdict
    noteRefusal(requestActor('api', context, account, token), RULES[verdict.kind], options)
  }
  switch (verdict.kind) {
    case 'unknown':
      throw unauthorized()
    case 'expired':
      throw invalidToken(EXPIRED)
    case 'revoked':
      // It may have been stolen before it was rotated, so its successors are revoked, too.
      await options.tokens.revokeDescendants(
        { actor: requestActor('api', context, verdict.account, verdict.token) },
        verdict.token.id,
        access.now(),
      )
      throw invalidToken(REVOKED)
    case 'impersonation-off':
      throw invalidToken(IMPERSONATION_OFF)
    case 'tokens-off':
      throw unauthorized()
    case 'blocked':
      throw forbidden('Your account has been blocked.')
    case 'identified':
      context.record.user = verdict.account.username
      context.record.token_id = verdict.token.id
      return { ...verdict, secret }
  }
}

/**
 * Authenticates a request whose body has arrived. A client can hold its body back, so what was found out before holds only while
 * the security epoch stands still.
 *
 * @throws ApiError
 */
export async function identifyAfterBody(
  request: FastifyRequest,
  context: RequestContext,
  options: CallerOptions,
): Promise<Identified> {
  const { identified } = request
  if (identified !== undefined && identified.epoch === (await options.access.epoch())) return identified
  return await identifyToken(request, context, options, identified?.secret)
}

/**
 * Checks that a token suffices for the route, and applies `sudo`. The body must be parsed, because it may contain `sudo`.
 *
 * @throws ApiError
 */
export async function authorizeCaller(
  request: FastifyRequest,
  context: RequestContext,
  needs: RouteNeeds,
  identified: Identified,
  options: CallerOptions,
): Promise<Caller> {
  const { token, account } = identified
  const wanted = textOf(request, 'sudo') ?? headerOf(request, 'sudo')
  try {
    const acting = wanted === undefined ? account : await sudoAs(wanted, identified, options.accounts)
    // Naming oneself is not sudo.
    const isSudo = acting.id !== account.id
    if (isSudo) {
      context.record.user = acting.username
      context.record.sudoer = account.username
    }
    checkNeeds(request, needs, { account: acting, token })
    const impersonator = isSudo ? account.username : token.impersonation ? token.issuedBy : null
    const actor = { ...requestActor('api', context, acting, token), impersonator }
    const authority = { kind: 'token', id: token.id, admin: account.admin } as const
    return { account: acting, token, auditContext: { actor, authority } }
  } catch (error) {
    // The audit log shows what a stolen token is tried for.
    if (error instanceof ApiError && error.status === 403)
      noteRefusal(
        requestActor('api', context, account, token),
        `may not ${request.method} ${context.record.route ?? ''}`,
        options,
      )
    throw error
  }
}

/** @throws ApiError if the token or the account doesn't suffice for the route */
function checkNeeds(
  request: FastifyRequest,
  needs: RouteNeeds,
  { account, token }: Pick<Caller, 'account' | 'token'>,
): void {
  // Sudo changes the account, never the scopes. GitLab skips this check then; gitgate doesn't.
  const isEnough = needs.scopes === 'any' || needs.scopes.some((scope) => token.scopes.includes(scope))
  if (!isEnough) throw insufficientScope([...needs.scopes])
  if (needs.admin && !account.admin) throw forbidden()
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  if (!isReading && !needs.takesLimited && isLimited(token)) throw forbidden('A limited token can only read')
}

/** Refuses to issue a token with `sudo` to a caller without it, who would widen its own scopes. @throws ApiError */
export function requireSudoFor(scopes: readonly Scope[], { token }: Pick<Caller, 'token'>): void {
  if (scopes.includes('sudo') && !token.scopes.includes('sudo')) throw insufficientScope(['sudo'])
}

function noteRefusal(actor: Actor, rule: string, { recorder, access }: CallerOptions): void {
  recorder.noteRefusal(auditEvent(actor, access.now(), { action: 'auth.refused', decision: 'refused', rule }))
}

/** The rule that refused a token, for the log and the audit log. */
const RULES: Readonly<Record<Exclude<TokenVerdict['kind'], 'identified'>, string>> = {
  unknown: 'unknown token',
  expired: 'token expired',
  revoked: 'token revoked',
  'impersonation-off': 'impersonation_enabled is off',
  'tokens-off': 'disable_personal_access_tokens',
  blocked: 'account blocked',
}

async function sudoAs(
  wanted: string,
  { account, token }: Pick<Caller, 'account' | 'token'>,
  accounts: CallerOptions['accounts'],
): Promise<Account> {
  if (!account.admin) throw forbidden('Must be admin to use sudo')
  if (!token.scopes.includes('sudo')) throw insufficientScope(['sudo'])
  const target = /^\d{1,15}$/.test(wanted)
    ? ((await accounts.find(Number(wanted))) ?? (await accounts.findByUsername(wanted)))
    : await accounts.findByUsername(wanted)
  if (target === undefined) throw new ApiError(404, { message: `404 User with ID or username '${wanted}' Not Found` })
  return target
}

/**
 * Whether a request declares a short body. Such a body is read before authentication, because it may contain the token, as
 * in GitLab (`private_token`).
 */
export function hasShortBody({ method, headers }: FastifyRequest): boolean {
  const length = Number(headers['content-length'])
  return method !== 'GET' && method !== 'HEAD' && length > 0 && length <= MAX_CREDENTIAL_BODY
}

/** The token of a request, from the places where GitLab accepts it, in GitLab's order. */
export function secretOf(request: FastifyRequest): Secret | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headerOf(request, 'authorization') ?? '')?.[1]
  const text = [
    textOf(request, 'private_token'),
    headerOf(request, 'private-token'),
    textOf(request, 'access_token'),
    bearer,
    textOf(request, 'bearer_token'),
  ].find((carried) => carried !== undefined && carried !== '')
  return text === undefined ? undefined : new Secret(text, 'token')
}

/** A parameter of the query or the body, if it is a string. */
function textOf({ query, body }: FastifyRequest, name: string): string | undefined {
  for (const parameters of [query, body]) {
    if (typeof parameters !== 'object' || parameters === null || !Object.hasOwn(parameters, name)) continue
    const value = (parameters as Record<string, unknown>)[name]
    if (typeof value === 'string') return value
    if (typeof value === 'number') return String(value)
    // Ignoring it would let the caller act as somebody they didn't mean to.
    if (name === 'sudo') throw badParameter(name)
  }
  return undefined
}

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}
