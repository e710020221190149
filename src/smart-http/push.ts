import type { RefDecision } from '../access/decide-ref.js'
import { sideBandOf } from '../protocol/side-band.js'
import { refuse } from './answers.js'
import type { Admitted } from './conclude.js'
import { answerNothing, conclude, requesterOf } from './conclude.js'
import { openExchange } from './exchange.js'
import { proveFastForwards } from './fast-forward.js'
import { decodePush, readPushHead } from './push-body.js'
import type { Push } from './push-exchange.js'
import { handOver, withHead } from './push-exchange.js'
import { planPush } from './push-plan.js'
import { refusePush } from './push-refusal.js'
import { runPush } from './push-run.js'

/** Serves the exchange of a push: what is authorised are its commands, and they are what goes on. */
export async function servePush(admitted: Admitted): Promise<void> {
  const { request, identity, exchange, options, isStillAllowed } = admitted
  const pack = decodePush(exchange.request)
  const start = await readPushHead(pack, exchange.request)
  if (start.kind === 'client-left') return
  if (start.kind === 'malformed') {
    refuse({ kind: 'push-malformed', reason: start.reason }, exchange, options)
    return
  }
  if (!(await isStillAllowed())) return
  const { head } = start
  const { git, end } = openExchange(exchange, request, requesterOf(identity))
  if (head.commands.length === 0) {
    pack.resume()
    conclude(answerNothing(git), end, admitted)
    return
  }
  exchange.record.refs = head.commands.length
  const push = { admitted, head, pack, sideBand: sideBandOf(head.capabilities), git, end }
  const decisions = await options.access.decideRefs(request, identity, head.commands)
  if (options.backend.checksFastForward) {
    await carryOut(push, decisions)
    return
  }
  const proven = await proveFastForwards(push, decisions)
  if (proven !== undefined && (await isStillAllowed())) await carryOut(proven.push, proven.decisions)
}

/** Does what the decisions leave of a push. */
async function carryOut(push: Push, decisions: readonly RefDecision[]): Promise<void> {
  const { admitted, head, end } = push
  const { record } = admitted.exchange
  const plan = planPush(head, decisions)
  if (plan.kind !== 'pass' && plan.refusals.length > 0) {
    record.refused_refs = plan.refusals.length
    record.rule = plan.refusals[0]?.reason ?? ''
  }
  switch (plan.kind) {
    case 'refuse':
      await refusePush(push, plan.refusals)
      break
    case 'run':
      await runPush(push, plan)
      break
    case 'pass':
      conclude(await handOver(push, withHead(push, head.bytes)), end, admitted)
  }
}
