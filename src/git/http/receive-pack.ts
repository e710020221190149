import { Readable, Writable } from 'node:stream'
import { messageOf } from '../../core/errors.js'
import { unread } from '../../core/read-ahead.js'
import { describeRefusal } from '../../domain/access/refusal.js'
import type { FollowRefs, RefDecision } from '../../domain/access/decide.js'
import type {
  BackendRequest,
  QueueCounts,
  RefTargets,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
  TransferProgress,
} from '../../protocol/backend.js'
import type { PushHead } from '../../protocol/push-head.js'
import { encodePushHead, hasPack } from '../../protocol/push-head.js'
import type { PushReport, RefRefusal } from '../../protocol/push-report.js'
import { encodeRefusal, encodeReport, ReportReader, reportsStatus } from '../../protocol/push-report.js'
import type { SideBand } from '../../protocol/side-band.js'
import { pushResponseFormat, BAND, encodeAnswer, encodeBand, encodeProgress } from '../../protocol/side-band.js'
import type { AuthorizedRequest } from './authorized-request.js'
import { proveFastForwards } from './fast-forward.js'
import { refuse } from './git-response.js'
import type { Push } from './push-body.js'
import { decodePush, drain, PushGuard, readPushHead, undecoded } from './push-body.js'
import { takeFromBudget } from './push-budget.js'
import type { PushPlan, PushRun } from './push-plan.js'
import { failedReport, mergeReports, planPush } from './push-plan.js'

const MEBIBYTE = 1_048_576
// Clients read the response when they have sent everything; a client that sends more sees at once that it is in vain.
const LONG_PUSH_BYTES = 4 * MEBIBYTE
// What is read of a refused push if no setting says less.
const MAX_DRAINED_MEBIBYTES = 10 * 1024
// Time for the message to arrive before the connection is reset.
const LINGER_MS = 2_000

// A pack without objects: its header, and the digest of that.
const PACK_HEADER = Buffer.from('5041434b0000000200000000', 'hex')
const EMPTY_PACK = {
  sha1: Buffer.concat([PACK_HEADER, Buffer.from('029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex')]),
  sha256: Buffer.concat([
    PACK_HEADER,
    Buffer.from('7ed890d8a45760f3eecf73045b1d1047085af4776dc683d78eac82203df1993f', 'hex'),
  ]),
}

/** Serves a push: its commands are what is authorised, and what the backend gets. */
export async function serveReceivePack(authorized: AuthorizedRequest): Promise<void> {
  const { request, identity, context, dependencies, response, audit } = authorized
  const { access, backend, baseUrl } = dependencies
  const pack = decodePush(context.request, response.signal)
  const start = await readPushHead(pack, request.slotRequest.account, context, dependencies.pushHeads)
  switch (start.kind) {
    case 'client-left':
      return
    case 'malformed':
      refuse({ kind: 'push-malformed', reason: start.reason }, context, dependencies)
      return
    case 'late':
      refuse({ kind: 'push-late' }, context, dependencies)
      return
    case 'too-many':
      await refuseTooMany(authorized, pack, start.capabilities)
      return
    case 'head':
  }
  if (!(await authorized.isStillAllowed())) return
  const { head } = start
  if (head.commands.length === 0) {
    undecoded(pack, context.request).resume()
    // A request for nothing gets an empty response, and creates nothing.
    response.begin()
    authorized.finish({ kind: 'answered' })
    return
  }
  context.record.refs = head.commands.length
  audit.pushes(head.commands)
  response.expectReport(head)
  const format = pushResponseFormat(head)
  if (format !== undefined) {
    const message = format.wantsProgress ? await access.expiryWarning(identity, baseUrl()) : undefined
    response.multiplex(format, message)
  }
  const push: Push = { authorized, head, pack, sideBand: format?.sideBand }
  const followRefs = refFollower(authorized, head)
  // Read first: decisions that are newer say nothing about the identity.
  const { checkedEpoch } = authorized
  const decisions = await access.decideRefs(request, identity, head.commands, followRefs)
  authorized.keepDeciding({ commands: head.commands, decisions, followRefs }, checkedEpoch)
  if (backend.checksFastForward) {
    await carryOut(push, decisions)
    return
  }
  const proven = await proveFastForwards(push, decisions)
  if (proven !== undefined && (await authorized.isStillAllowed())) await carryOut(proven.push, proven.decisions)
}

/** Nothing that comes through the gate makes a ref symbolic, so later decisions about the push use the same result. */
function refFollower({ request, dependencies }: AuthorizedRequest, { commands }: PushHead): FollowRefs | undefined {
  const { followRefs } = dependencies.backend
  if (followRefs === undefined) return undefined
  let targets: Promise<RefTargets> | undefined
  const follow = (): Promise<RefTargets> =>
    followRefs(
      request.repository,
      commands.map(({ refBytes }) => refBytes),
    )
  return () => (targets ??= follow())
}

/** Does what the decisions and the budget allow of a push. */
async function carryOut(push: Push, decisions: readonly RefDecision[]): Promise<void> {
  const plan = planPush(push.head, decisions)
  if (plan.kind === 'refuse') {
    await refusePush(push, plan.refusals, plan.reason)
    return
  }
  const accepted = await accept(push, plan)
  if (typeof accepted === 'string') {
    const refusals = push.head.commands.map((command) => ({ command, reason: accepted }))
    await refusePush(push, refusals, accepted)
    return
  }
  try {
    if (plan.kind === 'run') await runPush(accepted, plan)
    else await passPush(accepted)
  } finally {
    // If it ended without a response.
    await push.authorized.audit.pushEnded({ kind: 'broken', reason: 'it was broken off' }, undefined)
  }
}

/**
 * Takes a push from its budget and writes its audit event. If the event can't be written, the push is refused.
 *
 * @returns the push for the backend, or why it is refused
 */
async function accept(push: Push, plan: PushPlan): Promise<Push | string> {
  const { audit, creates, context, response } = push.authorized
  try {
    const spent = await takeFromBudget(push)
    if (typeof spent === 'string') return spent
    if (response.signal.aborted) {
      await spent.giveBack()
      return 'the client left'
    }
    try {
      await audit.pushAccepted(plan.kind === 'run' ? plan.refusals : [], creates)
    } catch (error) {
      await spent.giveBack()
      throw error
    }
    return spent.metered()
  } catch (error) {
    context.record.reason = messageOf(error)
    return `gitgate can't record pushes now (${messageOf(error)}), so it takes none; ask who runs it`
  }
}

/**
 * Refuses a push as a whole: the report has a reason for each ref, where git shows them. The backend is not asked. No client
 * stops sending at an early response, and one whose connection is reset loses the reason, so the pack is read and dropped
 * (measured).
 *
 * @param reason the one that decided, for where only one can be shown
 */
async function refusePush(push: Push, refusals: readonly RefRefusal[], reason: string): Promise<void> {
  const { authorized, head, pack, sideBand } = push
  const { context, dependencies } = authorized
  if (!reportsStatus(head) && sideBand === undefined) {
    refuse({ kind: 'push-refused', reason }, context, dependencies)
    return
  }
  context.record.decision = 'refused'
  context.record.rule = reason
  context.record.refused_refs = refusals.length
  await authorized.audit.pushRefused()
  const report = encodeRefusal(refusals)
  if (sideBand === undefined) await answerRefused(authorized, pack, sideBand, reason, report)
  else if (reportsStatus(head)) await answerRefused(authorized, pack, sideBand, reason, encodeAnswer(report, sideBand))
  else await answerRefused(authorized, pack, sideBand, reason, fatalMessage(reason, sideBand))
}

/** Refuses a push whose commands were not read to their end, with a message that Git shows if the response is multiplexed. */
async function refuseTooMany(
  authorized: AuthorizedRequest,
  pack: Readable,
  capabilities: ReadonlySet<string>,
): Promise<void> {
  const { context, dependencies } = authorized
  const format = pushResponseFormat({ capabilities })
  if (format === undefined) {
    refuse({ kind: 'push-heads-full' }, context, dependencies)
    return
  }
  const reason = describeRefusal({ kind: 'push-heads-full' }, dependencies.baseUrl()).text
  context.record.decision = 'refused'
  context.record.rule = 'push-heads-full'
  await answerRefused(authorized, pack, format.sideBand, reason, fatalMessage(reason, format.sideBand))
}

function fatalMessage(reason: string, sideBand: SideBand): Buffer {
  return encodeBand(BAND.fatal, Buffer.from(`push refused: ${reason}\n`), sideBand)
}

/** Sends the response to a refused push, once the rest of its body has been read. */
async function answerRefused(
  { context, dependencies, response }: AuthorizedRequest,
  pack: Readable,
  sideBand: SideBand | undefined,
  reason: string,
  answer: Buffer,
): Promise<void> {
  const { record } = context
  const show = (text: string): void => {
    if (sideBand !== undefined) response.begin().write(encodeProgress(text, sideBand))
  }
  const limit = (await dependencies.access.settings()).receive_max_input_size ?? MAX_DRAINED_MEBIBYTES
  const onLong = (): void => show(`push refused: ${reason}`)
  const bounds = { limit: limit * MEBIBYTE, longAfter: LONG_PUSH_BYTES, onLong }
  const drained = await drain(undecoded(pack, context.request), bounds)
  if (drained === 'client-left' || (record.decision as string) === 'revoked') return
  if (drained === 'too-long') show(`push refused: ${reason}; upload stopped after ${limit} MiB`)
  response.begin().write(answer)
  response.end()
  if (drained === 'too-long') setTimeout(() => context.request.destroy(), LINGER_MS).unref()
}

/** Passes a push unchanged to the backend, and the backend's response to the client. */
async function passPush(push: Push): Promise<void> {
  const { authorized, head, sideBand } = push
  const response = new RunResponse(authorized.response, sideBand !== undefined, 'with report')
  const outcome = await receivePack(push, { ...authorized.request, ...bodyWith(push, head.bytes) }, response)
  await authorized.audit.pushEnded(outcome, await response.end())
  authorized.finish(outcome)
}

/**
 * Runs the allowed part of a push, and responds with one report: the backend's, with our refusals in it. Everything else
 * that the backend sends passes as it comes.
 */
async function runPush(push: Push, plan: PushPlan & { readonly kind: 'run' }): Promise<void> {
  const { authorized, sideBand } = push
  const { audit, context, response } = authorized
  if (plan.refusals[0] !== undefined) {
    context.record.refused_refs = plan.refusals.length
    context.record.rule = plan.refusals[0].reason
  }
  const reports: PushReport[] = []
  for (const [index, run] of plan.runs.entries()) {
    const request = await requestFor(push, run, index)
    if (request === undefined) return
    const runResponse = new RunResponse(response, sideBand !== undefined, 'without report')
    const outcome = await receivePack(push, request, runResponse)
    const read = await runResponse.end()
    const report = outcome.kind === 'answered' ? read : undefined
    if (report === undefined && index === 0) {
      // Nothing is known of what was done: git must see that the response has no report.
      await audit.pushEnded(outcome, undefined)
      authorized.finish(outcome)
      return
    }
    reports.push(
      report ?? failedReport(run, `the Git server failed; the gate's log has more under ${context.requestId}`),
    )
  }
  const body = response.begin()
  const { report, refusals } = mergeReports(reports, plan)
  await audit.pushEnded({ kind: 'answered' }, report, refusals)
  const bytes = encodeReport(report, refusals)
  body.write(sideBand === undefined ? bytes : encodeAnswer(bytes, sideBand))
  authorized.finish({ kind: 'answered' })
}

/** The request for one run. @returns `undefined` when the client has left, or is no longer allowed */
async function requestFor(push: Push, run: PushRun, index: number): Promise<BackendRequest | undefined> {
  const { head, pack, authorized } = push
  const isUnchanged = run.commands.length === head.commands.length
  const bytes = isUnchanged ? head.bytes : encodePushHead(head, run.commands)
  const request = { ...authorized.request, fastForwardOnly: run.fastForwards.length > 0 }
  if (index > 0) return { ...request, ...bodyOf(Buffer.concat([bytes, emptyPackOf(head)])) }
  if (isUnchanged || hasPack(run.commands) || !hasPack(head.commands)) return { ...request, ...bodyWith(push, bytes) }
  // Only deletions are left: git would not read the pack, and may respond before the client has sent it.
  const rest = undecoded(pack, authorized.context.request)
  const drained = await drain(rest, { limit: Infinity, longAfter: Infinity, onLong: () => undefined })
  if (drained !== 'complete' || !(await authorized.isStillAllowed())) return undefined
  return { ...request, ...bodyOf(bytes) }
}

type Body = Pick<BackendRequest, 'body' | 'contentEncoding' | 'contentLength'>

/** A head, ours or the very bytes that were parsed, and the pack. */
function bodyWith({ authorized, head, pack }: Push, bytes: Buffer): Body {
  const { contentEncoding, contentLength } = authorized.request
  const length = contentEncoding === undefined ? contentLength : undefined
  return {
    body: unread(bytes, pack),
    contentEncoding: undefined,
    contentLength: length === undefined ? undefined : length - head.bytes.length + bytes.length,
  }
}

function bodyOf(bytes: Buffer): Body {
  return { body: Readable.from([bytes]), contentEncoding: undefined, contentLength: bytes.length }
}

function emptyPackOf({ commands }: PushHead): Buffer {
  return commands[0]?.newId.length === 64 ? EMPTY_PACK.sha256 : EMPTY_PACK.sha1
}

/** Runs receive-pack. A repository that is to be created is created first. */
async function receivePack(
  { authorized }: Push,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const { backend } = authorized.dependencies
  const body = new PushGuard(request.body, authorized)
  // The report is read, and may be changed.
  const preferences = { ...request.preferences, acceptEncoding: 'identity' }
  return await authorized.measure(async () => {
    if (!(await authorized.createRepository())) return { kind: 'broken', reason: 'it is no longer allowed' }
    return await backend.receivePack({ ...request, body, preferences }, response)
  })
}

/** The response to one run of receive-pack, whose report is read as it passes. */
class RunResponse implements ResponseWriter {
  readonly #response: ResponseWriter
  readonly #reader: ReportReader
  readonly #passes: 'with report' | 'without report'
  #body: Writable | undefined

  constructor(response: ResponseWriter, isMultiplexed: boolean, passes: 'with report' | 'without report') {
    this.#response = response
    this.#reader = new ReportReader(isMultiplexed)
    this.#passes = passes
  }

  begin(head?: ResponseHead): Writable {
    const passesReport = this.#passes === 'with report'
    const client = this.#response.begin(passesReport ? head : undefined)
    // A compressed report can't be read.
    if (passesReport && head?.contentEncoding !== undefined) return client
    this.#body = new Writable({
      write: (piece: Buffer, _encoding, done) => {
        const messages = this.#reader.push(piece)
        const passed = passesReport ? piece : messages
        if (passed.length === 0 || client.write(passed) || client.destroyed) {
          done()
          return
        }
        const resume = (): void => {
          client.off('drain', resume).off('close', resume)
          done()
        }
        client.on('drain', resume).on('close', resume)
      },
    })
    return this.#body
  }

  onQueued(queue: QueueCounts): void {
    this.#response.onQueued(queue)
  }

  progress(): TransferProgress {
    return this.#response.progress()
  }

  /** Waits until everything has passed. @returns the report, if there was one that could be read */
  async end(): Promise<PushReport | undefined> {
    await new Promise<void>((resolve) => (this.#body === undefined ? resolve() : this.#body.end(() => resolve())))
    return this.#reader.report
  }
}
