import type { DecidedPush } from '../../domain/access/decide-ref.js'
import type { RequestContext } from '../../core/http.js'
import { millisecondsSince } from '../../core/http.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { SmartHttpOptions } from './answers.js'
import { identify, refuse } from './answers.js'
import type { Admitted } from './conclude.js'
import { conclude, requesterOf } from './conclude.js'
import { openExchange, requestContentError } from './exchange.js'
import { serveFetch } from './fetch.js'
import { LastWords } from './last-words.js'
import { servePush } from './push.js'
import { GitTrail } from './trail.js'

/** Serves a request of the smart protocol: authenticate, decide, hand it to the backend. */
export async function serveGit(request: GitRequest, context: RequestContext, options: SmartHttpOptions): Promise<void> {
  const { access, backend } = options
  context.record.service = request.service
  context.record.phase = request.phase
  const trail = new GitTrail(request, context, options.audit, () => access.now())
  const identified = await identify(context, options, trail)
  if (identified === undefined) return
  const { identity, epoch } = identified

  const { decision, isNameKnown } = await access.decide(request, identity, backend, epoch)
  if (isNameKnown) context.record.repository = request.repository
  context.record.rule = decision.rule
  if (decision.kind === 'refuse') {
    refuse(decision.refusal, context, options)
    return
  }

  // From here on: a body may be held back for as long as its sender likes, and what is revoked meanwhile must count.
  let push: DecidedPush | undefined
  const reauthorize = (): Promise<string | undefined> => access.reasonToRevoke(request, identity, push)
  const lastWords = new LastWords()
  const abort = (rule: string): void => lastWords.end(rule, identity, context)
  const unwatch = options.activeTransfers.watch({ reauthorize, abort }, epoch)
  let checkedEpoch = epoch
  const isStillAllowed = async (): Promise<boolean> => {
    const current = await access.epoch()
    if (current === checkedEpoch) return true
    const reason = await reauthorize()
    if (reason === undefined) checkedEpoch = current
    else abort(reason)
    return reason === undefined
  }
  const keepDeciding = (decided: DecidedPush): void => {
    push = decided
  }
  const creates = decision.kind === 'create'
  const admitted = { request, identity, creates, context, options, lastWords, trail, isStillAllowed, keepDeciding }
  try {
    if (request.phase === 'rpc' && !openBody(admitted)) return
    if (request.phase === 'rpc' && request.service === 'git-receive-pack') await servePush(admitted)
    else if (request.phase === 'rpc') await serveFetch(admitted)
    else await serveAdvertisement(admitted)
  } finally {
    unwatch()
  }
}

/** Lets the client send its body. @returns false where its headers were refused */
function openBody({ request, context: context, options }: Admitted): boolean {
  const refusal = requestContentError(context.request, request)
  if (refusal !== undefined) refuse(refusal, context, options)
  else if (context.expectsContinue) context.response.writeContinue()
  return refusal === undefined
}

async function serveAdvertisement(admitted: Admitted): Promise<void> {
  const { request, identity, creates, context: context, options } = admitted
  const { git, end } = openExchange(context, request, requesterOf(identity))
  const { backend } = options
  const started = performance.now()
  const outcome =
    creates && backend.creation !== undefined
      ? await backend.creation.serveUnborn(request, git)
      : await backend.serve(request, git)
  context.record.backend_ms = millisecondsSince(started)
  conclude(outcome, { end }, admitted)
}
