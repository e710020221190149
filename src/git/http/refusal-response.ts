import type { IncomingMessage } from 'node:http'
import type { Access } from '../../domain/access/access.js'
import type { Identity } from '../../domain/access/authenticate.js'
import type { ActiveTransfers } from '../../domain/access/active-transfers.js'
import type { Refusal } from '../../domain/access/refusal.js'
import { describeRefusal } from '../../domain/access/refusal.js'
import type { RequestContext } from '../../core/http.js'
import { millisecondsSince, sendTextUnread } from '../../core/http.js'
import type { Backend } from '../../protocol/backend.js'
import type { AuditPort, GitAudit } from './git-audit.js'

/** What the Git handler depends on. */
export type SmartHttpOptions = {
  readonly access: Access
  readonly backend: Backend
  /** Watches over transfers that are running. */
  readonly activeTransfers: ActiveTransfers
  /** Told of every request. */
  readonly audit: AuditPort
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** The realm of the challenge, which credential helpers may show or match on. */
  readonly realm: string
  /** This gate's name in `Via`. */
  readonly pseudonym: string
}

/** Who makes the request; `undefined` when that was refused, and answered. */
export async function identify(
  context: RequestContext,
  options: SmartHttpOptions,
  audit: GitAudit,
): Promise<{ identity: Identity; epoch: number } | undefined> {
  const started = performance.now()
  const result = await options.access.authenticate(authorizationOf(context.request), context.ip)
  context.record.auth_ms = millisecondsSince(started)
  if (result.kind === 'refused') {
    context.record.rule = result.rule
    audit.suspects(result.suspect)
    refuse(result.refusal, context, options)
    return undefined
  }
  const { identity } = result
  audit.identified(identity)
  if (identity.kind !== 'anonymous') context.record.user = identity.account.username
  if (identity.kind === 'token') context.record.token_id = identity.token.id
  return { identity, epoch: result.epoch }
}

/** The `Authorization` header. Of two, nobody can tell which is meant: they are none that is well-formed. */
function authorizationOf({ rawHeaders, headers }: IncomingMessage): string | undefined {
  const names = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'authorization')
  return names.length > 1 ? 'Basic' : headers.authorization
}

/** Sends a refusal. */
export function refuse(
  refusal: Refusal,
  { request, response, record }: RequestContext,
  { baseUrl, realm }: SmartHttpOptions,
): void {
  const answer = describeRefusal(refusal, baseUrl())
  record.decision = answer.status >= 500 ? 'failed' : 'refused'
  record.rule ??= refusal.kind
  sendTextUnread(request, response, answer.status, answer.text, {
    ...(answer.challenge ? { 'WWW-Authenticate': `Basic realm="${realm}"` } : {}),
    ...(answer.retryAfter === undefined ? {} : { 'Retry-After': String(answer.retryAfter) }),
  })
}
