import type { Writable } from 'node:stream'
import type { FollowRefs, RefDecision } from '../../domain/access/decide-ref.js'
import { messageOf } from '../../core/errors.js'
import type { ResponseHead, RefTargets } from '../../protocol/backend.js'
import type { PushHead } from '../../protocol/push-head.js'
import type { SideBand } from '../../protocol/side-band.js'
import { BAND, encodeBand, encodeProgress } from '../../protocol/side-band.js'
import { announcing } from './announce.js'
import { speaking } from './answer-stream.js'
import { refuse } from './refusal-response.js'
import type { AuthorizedRequest, Spoken } from './finish-response.js'
import { answerNothing, finishResponse, requesterOf } from './finish-response.js'
import type { GitResponse } from './git-response.js'
import { openGitResponse } from './git-response.js'
import { proveFastForwards } from './fast-forward.js'
import { decodePush, readPushHead, undecoded } from './push-body.js'
import { takeFromBudget } from './push-budget.js'
import type { Push } from './push-exchange.js'
import { endPush, handOver, wantsProgress, withHead } from './push-exchange.js'
import type { PushPlan } from './push-plan.js'
import { planPush } from './push-plan.js'
import { refusePush } from './push-refusal.js'
import { runPush } from './push-run.js'
import { tapReport } from './report-tap.js'

/** Serves the RPC of a push: what is authorised are its commands, and they are what goes on. */
export async function servePush(authorized: AuthorizedRequest): Promise<void> {
  const { request, identity, context: context, options, isStillAllowed } = authorized
  const pack = decodePush(context.request)
  const start = await readPushHead(pack, context.request)
  if (start.kind === 'client-left') return
  if (start.kind === 'malformed') {
    refuse({ kind: 'push-malformed', reason: start.reason }, context, options)
    return
  }
  if (!(await isStillAllowed())) return
  const { head } = start
  const opened = openGitResponse(context, request, requesterOf(identity))
  if (head.commands.length === 0) {
    undecoded(pack, context.request).resume()
    finishResponse(answerNothing(opened.writer), opened, authorized)
    return
  }
  context.record.refs = head.commands.length
  authorized.audit.asks(head.commands)
  // Git's receive-pack knows the wide one alone.
  const sideBand = head.capabilities.has('side-band-64k') ? 'side-band-64k' : undefined
  const wantsNotice = sideBand !== undefined && wantsProgress({ head })
  const notice = wantsNotice ? await options.access.expiryWarning(identity, options.baseUrl()) : undefined
  const served = withNotice(opened, notice, sideBand)
  const push: Push = { authorized: authorized, head, pack, sideBand, ...served }
  authorized.terminalMessage.sendWith((text) => endPush(push, text))
  const followRefs = refFollower(authorized, head)
  const decisions = await options.access.decideRefs(request, identity, head.commands, followRefs)
  authorized.keepDeciding({ commands: head.commands, decisions, followRefs })
  if (options.backend.checksFastForward) {
    await carryOut(push, decisions)
    return
  }
  const proven = await proveFastForwards(push, decisions)
  if (proven !== undefined && (await isStillAllowed())) await carryOut(proven.push, proven.decisions)
}

/** Nothing that comes through the gate makes a ref symbolic, so that one look serves the decisions that follow, too. */
function refFollower({ request, options }: AuthorizedRequest, { commands }: PushHead): FollowRefs | undefined {
  const { followRefs } = options.backend
  if (followRefs === undefined) return undefined
  const names = commands.map(({ refBytes }) => refBytes)
  let targets: Promise<RefTargets> | undefined
  return () => (targets ??= followRefs(request.repository, names))
}

/** Does what the decisions and the budget leave of a push. */
async function carryOut(push: Push, decisions: readonly RefDecision[]): Promise<void> {
  const { head } = push
  const plan = planPush(head, decisions)
  if (plan.kind === 'refuse') {
    await refusePush(push, plan.refusals, plan.reason)
    return
  }
  const taken = await admit(push, plan)
  if (typeof taken === 'string') {
    await refusePush(
      push,
      head.commands.map((command) => ({ command, reason: taken })),
      taken,
    )
    return
  }
  try {
    if (plan.kind === 'run') await runPush(taken, plan)
    else await passPush(taken)
  } finally {
    // Where it ended in another way than by an answer.
    await push.authorized.audit.ended({ kind: 'broken', reason: 'it was broken off' }, undefined)
  }
}

/**
 * Takes a push from its budget and writes its audit event. If the event can't be written, the push is refused.
 *
 * @returns the push to be handed over, or why it is not
 */
async function admit(push: Push, plan: PushPlan): Promise<Push | string> {
  const { audit: audit, creates, context: context } = push.authorized
  try {
    const taken = await takeFromBudget(push)
    if (typeof taken === 'string') return taken
    if (push.git.signal.aborted) {
      await taken.giveBack()
      return 'the client left'
    }
    try {
      await audit.handsOver(plan.kind === 'run' ? plan.refusals : [], creates)
    } catch (error) {
      await taken.giveBack()
      throw error
    }
    return taken.push()
  } catch (error) {
    context.record.reason = messageOf(error)
    return `gitgate can't record pushes now (${messageOf(error)}), so it takes none; ask who runs it`
  }
}

/** Hands over a push as it is. */
async function passPush(push: Push): Promise<void> {
  const { authorized: authorized, head, sideBand } = push
  const served = sideBand === undefined ? { ...push, endWith: undefined } : withWords(push, sideBand)
  const { writer } = served
  const tap = tapReport((head) => writer.begin(head), sideBand !== undefined)
  const outcome = await handOver(push, withHead(push, head.bytes), { ...writer, begin: tap.begin })
  await authorized.audit.ended(outcome, await tap.finish())
  finishResponse(outcome, { end: served.end, ...(served.endWith && { endWith: served.endWith }) }, authorized)
}

/** Puts words into the answer while the push waits, and last words should it come to that. */
function withWords(push: Push, sideBand: SideBand): GitResponse & Spoken {
  const speaker = speaking(push, 'none', Buffer.alloc(0))
  const endWith = (text: string): boolean => speaker.endWith(encodeBand(BAND.fatal, Buffer.from(`${text}\n`), sideBand))
  push.authorized.terminalMessage.sendWith((text) => (push.isBegun() ? endWith(text) : endPush(push, text)))
  return { ...announcing<GitResponse>(speaker, { sideBand, wantsProgress: wantsProgress(push) }), endWith }
}

/** Lets a notice be the first that a client gets to see. */
function withNotice(served: GitResponse, notice: string | undefined, sideBand: SideBand | undefined) {
  let isBegun = false
  const begin = (head?: ResponseHead): Writable => {
    isBegun = true
    const isFixed = head?.contentEncoding !== undefined
    if (notice === undefined || sideBand === undefined || isFixed) return served.writer.begin(head)
    const answer = served.writer.begin(head?.cacheControl === undefined ? {} : { cacheControl: head.cacheControl })
    answer.write(encodeProgress(notice, sideBand))
    return answer
  }
  return { ...served, writer: { ...served.writer, begin }, isBegun: () => isBegun }
}
