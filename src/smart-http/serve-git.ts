import type { HttpExchange } from '../http.js'
import { millisecondsSince } from '../http.js'
import type { Exchange, ServeOutcome } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'
import { classifyBodyStart } from '../protocol/pkt-line.js'
import type { SmartHttpOptions } from './answers.js'
import { identify, refuse } from './answers.js'
import type { Admitted } from './conclude.js'
import { answerNothing, conclude, requesterOf } from './conclude.js'
import { isGzip, openExchange, peek, requestContentError } from './exchange.js'
import { servePush } from './push.js'

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
  const isStillAllowed = async (): Promise<boolean> => {
    const reason = (await access.epoch()) === epoch ? undefined : await recheck()
    if (reason !== undefined) cut(reason, exchange)
    return reason === undefined
  }
  const admitted = { request, identity, creates: decision.kind === 'create', exchange, options, isStillAllowed }
  try {
    if (request.phase === 'exchange' && !openBody(admitted)) return
    if (request.phase === 'exchange' && request.service === 'git-receive-pack') await servePush(admitted)
    else await serve(admitted)
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

/** Lets the client send its body. @returns false where its headers were refused */
function openBody({ request, exchange, options }: Admitted): boolean {
  const refusal = requestContentError(exchange.request, request)
  if (refusal !== undefined) refuse(refusal, exchange, options)
  else if (exchange.expectsContinue) exchange.response.writeContinue()
  return refusal === undefined
}

/** Serves everything but the exchange of a push. */
async function serve(admitted: Admitted): Promise<void> {
  const { request, identity, exchange, options, isStillAllowed } = admitted
  let asksNothing = false
  if (request.phase === 'exchange' && !isGzip(exchange.request)) {
    const start = await peek(exchange.request, START_BYTES)
    if (start === undefined) return
    const kind = classifyBodyStart(start)
    if (kind === 'empty' || kind === 'not-packets') {
      refuse({ kind: 'body-malformed' }, exchange, options)
      return
    }
    asksNothing = kind === 'flush-only'
  }
  if (!(await isStillAllowed())) return
  const served = openExchange(exchange, request, requesterOf(identity))
  const started = performance.now()
  const outcome = asksNothing ? answerNothing(served.git) : await ask(admitted, served.git)
  exchange.record.backend_ms = millisecondsSince(started)
  conclude(outcome, served.end, admitted)
}

async function ask({ request, creates, options }: Admitted, git: Exchange): Promise<ServeOutcome> {
  const { backend } = options
  return creates && backend.creation !== undefined
    ? await backend.creation.serveUnborn(request, git)
    : await backend.serve(request, git)
}
