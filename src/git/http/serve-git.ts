import type { DecidedPush } from '../../domain/access/decide-ref.js'
import type { RequestContext } from '../../core/http.js'
import { millisecondsSince } from '../../core/http.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { SmartHttpOptions } from './refusal-response.js'
import { identify, refuse } from './refusal-response.js'
import type { AuthorizedRequest } from './finish-response.js'
import { finishResponse, requesterOf } from './finish-response.js'
import { openGitResponse, requestContentError } from './git-response.js'
import { serveFetch } from './fetch.js'
import { TerminalMessage } from './terminal-message.js'
import { servePush } from './push.js'
import { GitAudit } from './git-audit.js'

/** Serves a request of the smart protocol: authenticate, decide, hand it to the backend. */
export async function serveGit(request: GitRequest, context: RequestContext, options: SmartHttpOptions): Promise<void> {
  const { access, backend } = options
  context.record.service = request.service
  context.record.phase = request.phase
  const audit = new GitAudit(request, context, options.audit, () => access.now())
  const identified = await identify(context, options, audit)
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
  const terminalMessage = new TerminalMessage()
  const abort = (rule: string): void => terminalMessage.end(rule, identity, context)
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
  const authorized = {
    request,
    identity,
    creates,
    context,
    options,
    terminalMessage,
    audit,
    isStillAllowed,
    keepDeciding,
  }
  try {
    if (request.phase === 'rpc' && !openBody(authorized)) return
    if (request.phase === 'rpc' && request.service === 'git-receive-pack') await servePush(authorized)
    else if (request.phase === 'rpc') await serveFetch(authorized)
    else await serveAdvertisement(authorized)
  } finally {
    unwatch()
  }
}

/** Lets the client send its body. @returns false where its headers were refused */
function openBody({ request, context: context, options }: AuthorizedRequest): boolean {
  const refusal = requestContentError(context.request, request)
  if (refusal !== undefined) refuse(refusal, context, options)
  else if (context.expectsContinue) context.response.writeContinue()
  return refusal === undefined
}

async function serveAdvertisement(authorized: AuthorizedRequest): Promise<void> {
  const { request, identity, creates, context: context, options } = authorized
  const { git, writer, end } = openGitResponse(context, request, requesterOf(identity))
  const { backend } = options
  const started = performance.now()
  const outcome =
    creates && backend.creation !== undefined
      ? await backend.creation.advertiseUnborn(git, writer)
      : await backend.advertise(git, writer)
  context.record.backend_ms = millisecondsSince(started)
  finishResponse(outcome, { end }, authorized)
}
