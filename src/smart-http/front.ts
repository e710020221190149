import type { Access } from '../access/access.js'
import type { Identity } from '../access/authenticate.js'
import { accountOf } from '../access/authenticate.js'
import type { Refusal } from '../access/refusal.js'
import { describeRefusal } from '../access/refusal.js'
import type { Front, HttpExchange } from '../http.js'
import { millisecondsSince, sendText, sendTextUnread } from '../http.js'
import type { Backend, Exchange, Fault, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { parseGitRequest } from '../protocol/git-request.js'
import { classifyBodyStart } from '../protocol/pkt-line.js'
import type { OpenExchange } from './exchange.js'
import { isGzip, openExchange, peek, requestContentError } from './exchange.js'

/** What the Git front is made of. */
export type SmartHttpOptions = {
  readonly access: Access
  readonly backend: Backend
  /** Where people reach this gate, without a slash at its end. */
  readonly baseUrl: () => string
  /** The realm of the challenge, which credential helpers may show or match on. */
  readonly realm: string
  /** This gate's name in `Via`. */
  readonly pseudonym: string
}

// Four digits of the first packet's length, and one byte that tells a packet from a lone flush.
const START_BYTES = 5

/** Git over HTTP: parse, authenticate, decide, serve. */
export function smartHttp(options: SmartHttpOptions): Front {
  return async (exchange) => {
    if (exchange.request.headers.via?.includes(options.pseudonym) === true) {
      refuse({ kind: 'loop' }, exchange, options)
      return
    }
    const parsed = parseGitRequest(exchange.request.method ?? '', exchange.target)
    switch (parsed.kind) {
      case 'git':
        return serveGit(parsed.request, exchange, options)
      case 'unserved':
        return refuseUnserved(exchange, options)
      case 'redirect':
        return sendText(exchange.response, 301, '', { Location: parsed.location })
      case 'head':
        return refuse({ kind: 'head' }, exchange, options)
      case 'malformed':
        return refuse({ kind: 'path-malformed', reason: parsed.reason }, exchange, options)
      case 'suffix-missing':
        return refuse({ kind: 'suffix-missing' }, exchange, options)
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
    refuse(decision.refusal, exchange, options)
    return
  }

  const start = request.phase === 'exchange' ? await openBody(request, exchange) : undefined
  if (start === 'client-left') return
  if (typeof start === 'object') {
    refuse(start, exchange, options)
    return
  }
  const served = openExchange(exchange, request, requesterOf(identity))
  const started = performance.now()
  const outcome =
    start === 'no-commands'
      ? answerNothing(served.git)
      : await serveWith(request, served.git, backend, decision.kind === 'create' ? backend.creation : undefined)
  exchange.record.backend_ms = millisecondsSince(started)
  conclude(outcome, served, request, identity, exchange, options)
}

/**
 * Lets the client send its body, and looks at how it begins.
 *
 * @returns the reason where it is refused; `no-commands` for a body that asks for nothing, such as the 4-byte probe before
 *   a chunked push
 */
async function openBody(
  request: GitRequest,
  { request: message, response, expectsContinue }: HttpExchange,
): Promise<Refusal | 'commands' | 'no-commands' | 'client-left'> {
  const contentError = requestContentError(message, request)
  if (contentError !== undefined) return contentError
  if (expectsContinue) response.writeContinue()
  if (isGzip(message)) return 'commands'
  const start = await peek(message, START_BYTES)
  if (start === undefined) return 'client-left'
  const isPush = request.service === 'git-receive-pack'
  switch (classifyBodyStart(start)) {
    case 'packets':
      return 'commands'
    case 'flush-only':
      return 'no-commands'
    case 'empty':
      return isPush ? 'no-commands' : { kind: 'body-malformed' }
    case 'not-packets':
      return { kind: 'body-malformed' }
  }
}

/** Who asks for nothing gets an empty answer; nothing is created for it yet. */
function answerNothing(git: Exchange): ServeOutcome {
  git.begin()
  return { kind: 'answered' }
}

async function serveWith(
  request: GitRequest,
  git: Exchange,
  backend: Backend,
  creation: Backend['creation'],
): Promise<ServeOutcome> {
  if (creation !== undefined) {
    if (request.phase === 'advertisement') return await creation.serveUnborn(request, git)
    await creation.create(request.repository)
  }
  return await backend.serve(request, git)
}

/** Ends the answer as the backend's outcome says. */
function conclude(
  outcome: ServeOutcome,
  served: OpenExchange,
  request: GitRequest,
  identity: Identity,
  exchange: HttpExchange,
  options: SmartHttpOptions,
): void {
  const { record, response, requestId } = exchange
  switch (outcome.kind) {
    case 'answered':
      record.decision = 'served'
      if (outcome.failure !== undefined) record.reason = outcome.failure
      return served.end()
    case 'missing': {
      const account = accountOf(identity)
      if (account === undefined) return refuse({ kind: 'credentials-missing' }, exchange, options)
      const { repository } = request
      return refuse({ kind: 'repository-not-found', repository, username: account.username }, exchange, options)
    }
    case 'broken':
      record.reason = outcome.reason
      record.decision = 'failed'
      response.destroy()
      return
    case 'failed':
      record.reason = outcome.reason
      return refuse(refusalFor(outcome.fault, requestId), exchange, options)
  }
}

function refusalFor(fault: Fault, requestId: string): Refusal {
  switch (fault) {
    case 'request':
      return { kind: 'body-malformed' }
    case 'backend':
      return { kind: 'backend-failed', requestId }
    case 'silence':
      return { kind: 'backend-silent', requestId }
  }
}

/** Who makes the request; `undefined` when that was refused, and answered. */
async function identify(exchange: HttpExchange, options: SmartHttpOptions): Promise<Identity | undefined> {
  const started = performance.now()
  const result = await options.access.authenticate(exchange.request.headers.authorization, exchange.ip)
  exchange.record.auth_ms = millisecondsSince(started)
  if (result.kind === 'refused') {
    exchange.record.rule = result.rule
    refuse(result.refusal, exchange, options)
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
  refuse({ kind }, exchange, options)
}

function refuse(
  refusal: Refusal,
  { request, response, record }: HttpExchange,
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
