import type { Access } from '../access/access.js'
import type { Identity } from '../access/authenticate.js'
import type { Refusal } from '../access/refusal.js'
import { describeRefusal } from '../access/refusal.js'
import type { Front, HttpExchange } from '../http.js'
import { millisecondsSince, sendText, sendTextUnread } from '../http.js'
import type { Backend, Exchange, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { parseGitRequest } from '../protocol/git-request.js'
import { classifyBodyStart } from '../protocol/pkt-line.js'
import { openExchange, peek, requestContentError } from './exchange.js'

/** What the Git front is made of. */
export type SmartHttpOptions = {
  readonly access: Access
  readonly backend: Backend
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** The realm of the challenge, which credential helpers may show or match on. */
  readonly realm: string
}

// Four digits of the first packet's length, and one byte that tells a packet from a lone flush.
const START_BYTES = 5

/** Git over HTTP: parse, authenticate, decide, serve. */
export function smartHttp(options: SmartHttpOptions): Front {
  return async (exchange) => {
    const parsed = parseGitRequest(exchange.request.method ?? '', exchange.target)
    switch (parsed.kind) {
      case 'git':
        return serveGit(parsed.request, exchange, options)
      case 'unserved':
        return refuseUnserved(exchange, options)
      case 'redirect':
        return sendText(exchange.response, 301, '', { Location: parsed.location })
      case 'head':
        return refuse({ kind: 'head' }, exchange, options, 'HEAD')
      case 'malformed':
        return refuse({ kind: 'path-malformed', reason: parsed.reason }, exchange, options, 'malformed path')
      case 'suffix-missing':
        return refuse({ kind: 'suffix-missing' }, exchange, options, 'no .git')
      case 'other':
        return sendText(exchange.response, 404, 'Not Found')
    }
  }
}

async function serveGit(request: GitRequest, exchange: HttpExchange, options: SmartHttpOptions): Promise<void> {
  const { access, backend } = options
  exchange.record.service = request.service
  exchange.record.phase = request.phase
  const identity = await identify(exchange, options)
  if (identity === undefined) return

  const { decision, isNameKnown } = await access.decide(request, identity, backend)
  if (isNameKnown) exchange.record.repository = request.repository
  exchange.record.rule = decision.rule
  if (decision.kind === 'refuse') {
    refuse(decision.refusal, exchange, options, decision.rule)
    return
  }
  if (request.phase === 'advertisement') {
    const served = openExchange(exchange, request, requesterOf(identity))
    return conclude(served, exchange, options, (git) =>
      decision.kind === 'create' ? backend.serveUnborn(request, git) : backend.serve(request, git),
    )
  }
  const contentError = requestContentError(exchange.request, request)
  if (contentError !== undefined) {
    refuse(contentError, exchange, options, contentError.kind)
    return
  }
  if (exchange.expectsContinue) exchange.response.writeContinue()

  const served = openExchange(exchange, request, requesterOf(identity))
  const start = await peek(served.git.body, START_BYTES)
  const kind = start === undefined ? 'not-packets' : classifyBodyStart(start)
  const isPush = request.service === 'git-receive-pack'
  if (kind === 'not-packets' || (kind === 'empty' && !isPush)) {
    refuse({ kind: 'body-malformed' }, exchange, options, 'no pkt-line')
    return
  }
  await conclude(served, exchange, options, async (git) => {
    if (isPush && kind !== 'packets') {
      // The probe before a chunked push: nothing to do, and nothing to create yet.
      git.begin()
      return { kind: 'answered' }
    }
    if (decision.kind === 'create') await backend.create(request.repository)
    return backend.serve(request, git)
  })
}

/** Runs the backend and ends the answer as its outcome says. */
async function conclude(
  served: ReturnType<typeof openExchange>,
  exchange: HttpExchange,
  options: SmartHttpOptions,
  serve: (git: Exchange) => Promise<ServeOutcome>,
): Promise<void> {
  const started = performance.now()
  const outcome = await serve(served.git)
  exchange.record.backend_ms = millisecondsSince(started)
  switch (outcome.kind) {
    case 'answered':
      exchange.record.decision = 'served'
      if (outcome.failure !== undefined) exchange.record.reason = outcome.failure
      {
        served.end()
        return
      }
    case 'broken':
      exchange.record.reason = outcome.reason
      exchange.record.decision = 'failed'
      exchange.response.destroy()
      return
    case 'failed': {
      exchange.record.reason = outcome.reason
      const isClientsFault = outcome.fault === 'client' || served.bodyFailed()
      refuse(
        isClientsFault ? { kind: 'body-malformed' } : { kind: 'backend-failed', requestId: exchange.requestId },
        exchange,
        options,
        exchange.record.rule ?? '',
        isClientsFault ? 'refused' : 'failed',
      )
      return
    }
  }
}

/** Who makes the request; `undefined` when that was refused, and answered. */
async function identify(exchange: HttpExchange, options: SmartHttpOptions): Promise<Identity | undefined> {
  const started = performance.now()
  const result = await options.access.authenticate(exchange.request.headers.authorization, exchange.ip)
  exchange.record.auth_ms = millisecondsSince(started)
  if (result.kind === 'refused') {
    refuse(result.refusal, exchange, options, result.rule)
    return undefined
  }
  const { identity } = result
  if (identity.kind !== 'anonymous') exchange.record.user = identity.account.username
  if (identity.kind === 'token') exchange.record.token_id = identity.token.id
  return identity
}

/** Everything else under a repository: GitLab asks who it is, and then says that this is not served. */
async function refuseUnserved(exchange: HttpExchange, options: SmartHttpOptions): Promise<void> {
  const identity = await identify(exchange, options)
  if (identity === undefined) return
  const kind = identity.kind === 'anonymous' ? 'credentials-missing' : 'command-not-served'
  refuse({ kind }, exchange, options, 'not a smart request')
}

function refuse(
  refusal: Refusal,
  exchange: HttpExchange,
  { baseUrl, realm }: SmartHttpOptions,
  rule: string,
  decision: 'refused' | 'failed' = 'refused',
): void {
  exchange.record.decision = decision
  exchange.record.rule = rule
  const answer = describeRefusal(refusal, baseUrl())
  sendTextUnread(exchange.request, exchange.response, answer.status, answer.text, {
    ...(answer.challenge ? { 'WWW-Authenticate': `Basic realm="${realm}"` } : {}),
    ...(answer.retryAfter === undefined ? {} : { 'Retry-After': String(answer.retryAfter) }),
  })
}

function requesterOf(identity: Identity): Exchange['requester'] {
  switch (identity.kind) {
    case 'anonymous':
      return undefined
    case 'password':
      return { username: identity.account.username }
    case 'token':
      return { username: identity.account.username, tokenId: identity.token.id }
  }
}
