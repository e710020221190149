import type { Identity } from '../access/authenticate.js'
import { accountOf } from '../access/authenticate.js'
import type { Refusal } from '../access/refusal.js'
import type { HttpExchange } from '../http.js'
import { millisecondsSince } from '../http.js'
import type { Backend, Exchange, Fault, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { classifyBodyStart } from '../protocol/pkt-line.js'
import type { SmartHttpOptions } from './answers.js'
import { identify, refuse } from './answers.js'
import type { OpenExchange } from './exchange.js'
import { isGzip, openExchange, peek, requestContentError } from './exchange.js'

// Four digits of the first packet's length, and one byte that tells a packet from a lone flush.
const START_BYTES = 5

/** Serves a request of the smart protocol: authenticate, decide, hand it to the backend. */
export async function serveGit(request: GitRequest, exchange: HttpExchange, options: SmartHttpOptions): Promise<void> {
  const { access, backend } = options
  exchange.record.service = request.service
  exchange.record.phase = request.phase
  const identified = await identify(exchange, options)
  if (identified === undefined) return
  const { identity, epoch } = identified

  const { decision, isNameKnown } = await access.decide(request, identity, backend)
  if (isNameKnown) exchange.record.repository = request.repository
  exchange.record.rule = decision.rule
  if (decision.kind === 'refuse') {
    refuse(decision.refusal, exchange, options)
    return
  }

  // From here on: a body may be held back for as long as its sender likes, and what is revoked meanwhile must count.
  const recheck = (): Promise<string | undefined> => access.reasonToCut(request, identity)
  const unwatch = options.live.watch({ recheck, cut: (reason) => cut(reason, exchange) }, epoch)
  try {
    const start = request.phase === 'exchange' ? await openBody(request, exchange) : undefined
    if (start === 'client-left') return
    if (typeof start === 'object') {
      refuse(start, exchange, options)
      return
    }
    const reason = (await access.epoch()) === epoch ? undefined : await recheck()
    if (reason !== undefined) {
      cut(reason, exchange)
      return
    }
    const creation = decision.kind === 'create' ? backend.creation : undefined
    const served = openExchange(exchange, request, requesterOf(identity))
    const started = performance.now()
    const outcome =
      start === 'no-commands' ? answerNothing(served.git) : await serveWith(request, served.git, backend, creation)
    exchange.record.backend_ms = millisecondsSince(started)
    conclude(outcome, served, request, identity, exchange, options)
  } finally {
    unwatch()
  }
}

/** Ends an exchange that is no longer allowed; the reset makes the backend end as if the client had left. */
function cut(reason: string, { record, reset }: HttpExchange): void {
  record.decision = 'cut'
  record.rule = reason
  reset()
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
  if (record.decision === 'cut') return
  switch (outcome.kind) {
    case 'answered':
      record.decision = 'served'
      if (outcome.failure !== undefined) record.reason = outcome.failure
      return served.end()
    case 'missing':
      return accountOf(identity) === undefined
        ? refuse({ kind: 'credentials-missing' }, exchange, options)
        : refuse({ kind: 'upstream-missing', repository: request.repository }, exchange, options)
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
