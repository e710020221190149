import type { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import type { BackendRequest, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import type { PushHead } from '../../protocol/push-head.js'
import { encodePushHead, hasPack } from '../../protocol/push-head.js'
import type { PushReport, RefRefusal } from '../../protocol/push-report.js'
import { encodeReport, refusedRef, ReportReader } from '../../protocol/push-report.js'
import { BAND, encodeAnswer, encodeBand } from '../../protocol/side-band.js'
import { announcing } from './announce.js'
import { finishResponse } from './finish-response.js'
import type { Push } from './push-exchange.js'
import { handOver, wantsProgress, withHead } from './push-exchange.js'
import { drain, undecoded } from './push-body.js'
import type { PushPlan, PushRun } from './push-plan.js'
import { passingTo } from './report-tap.js'

// A pack of no objects: its head, and the digest of that.
const PACK_HEAD = Buffer.from('5041434b0000000200000000', 'hex')
const EMPTY_PACK = {
  sha1: Buffer.concat([PACK_HEAD, Buffer.from('029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex')]),
  sha256: Buffer.concat([
    PACK_HEAD,
    Buffer.from('7ed890d8a45760f3eecf73045b1d1047085af4776dc683d78eac82203df1993f', 'hex'),
  ]),
}

/**
 * Hands over what a push may do, and answers with one report: the backend's, with our refusals in it. Everything else that
 * the backend says passes as it comes.
 */
export async function runPush(push: Push, plan: PushPlan & { kind: 'run' }): Promise<void> {
  const { authorized: authorized, sideBand, end } = push
  const wants = wantsProgress(push)
  const { writer } = sideBand === undefined ? push : announcing(push, { sideBand, wantsProgress: wants })
  const { record } = authorized.context
  if (plan.refusals[0] !== undefined) {
    record.refused_refs = plan.refusals.length
    record.rule = plan.refusals[0].reason
  }
  let answer: Writable | undefined
  const begin = (): Writable => (answer ??= writer.begin())
  const endWith = (text: string): boolean => {
    if (sideBand === undefined) return false
    begin().write(encodeBand(BAND.fatal, Buffer.from(`${text}\n`), sideBand))
    end()
    return true
  }
  const reports: PushReport[] = []
  for (const [index, run] of plan.runs.entries()) {
    const request = await requestFor(push, run, index)
    if (request === undefined) return
    const { outcome, report } = await runOnce(push, request, { ...writer, begin })
    if (report === undefined && index === 0) {
      // Nothing is known of what was done: git must see that the answer has no report.
      await authorized.audit.ended(outcome, undefined)
      finishResponse(outcome, { end, endWith }, authorized)
      return
    }
    reports.push(report ?? failedReport(run, authorized.context.requestId))
  }
  const answered = begin()
  const { report, refusals } = merge(reports, plan)
  await authorized.audit.ended({ kind: 'answered' }, report, refusals)
  const bytes = encodeReport(report, refusals)
  answered.write(sideBand === undefined ? bytes : encodeAnswer(bytes, sideBand))
  finishResponse({ kind: 'answered' }, { end }, authorized)
}

/** One run's request. @returns `undefined` when the client has left, or is not allowed any more */
async function requestFor(push: Push, run: PushRun, index: number): Promise<BackendRequest | undefined> {
  const { head, pack, git, authorized: authorized } = push
  const isUntouched = run.commands.length === head.commands.length
  const bytes = isUntouched ? head.bytes : encodePushHead(head, run.commands)
  const base = { ...git, fastForwardOnly: run.fastForwards.length > 0, preferences: plainly(git) }
  if (index > 0) return { ...base, ...only(Buffer.concat([bytes, emptyPackOf(head)])) }
  if (isUntouched || hasPack(run.commands) || !hasPack(head.commands))
    return { ...base, ...bodyOf(withHead(push, bytes)) }
  // Only deletions are left: git would not read the pack, and may answer before the client has sent it.
  const rest = undecoded(pack, authorized.context.request)
  const drained = await drain(rest, { limit: Infinity, longAfter: Infinity, onLong: () => undefined })
  return drained === 'whole' && (await authorized.isStillAllowed()) ? { ...base, ...only(bytes) } : undefined
}

/** Without a wish for compression: the answer is to be read. */
function plainly({ preferences }: BackendRequest): BackendRequest['preferences'] {
  const { accept, acceptLanguage, userAgent } = preferences
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(acceptLanguage === undefined ? {} : { acceptLanguage }),
    ...(userAgent === undefined ? {} : { userAgent }),
  }
}

type Body = Pick<BackendRequest, 'body' | 'contentEncoding' | 'contentLength'>

function bodyOf({ body, contentEncoding, contentLength }: BackendRequest): Body {
  return { body, contentEncoding, contentLength }
}

function only(bytes: Buffer): Body {
  return { body: Readable.from([bytes]), contentEncoding: undefined, contentLength: bytes.length }
}

function emptyPackOf({ commands }: PushHead): Buffer {
  return commands[0]?.newId.length === 64 ? EMPTY_PACK.sha256 : EMPTY_PACK.sha1
}

async function runOnce(
  push: Push,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<{ outcome: ServeOutcome; report: PushReport | undefined }> {
  const reader = new ReportReader(push.sideBand !== undefined)
  const collector = passingTo(
    () => response.begin(),
    (chunk) => reader.push(chunk),
  )
  const outcome = await handOver(push, request, {
    ...response,
    begin: () => {
      response.begin()
      return collector
    },
  })
  await new Promise<void>((resolve) => collector.end(() => resolve()))
  return { outcome, report: outcome.kind === 'answered' ? reader.report : undefined }
}

function failedReport({ commands }: PushRun, requestId: string): PushReport {
  const reason = `the Git server failed; the gate's log has more under ${requestId}`
  return {
    unpack: 'ok',
    lines: commands.map(({ refBytes }) => Buffer.concat([Buffer.from('ng '), refBytes, Buffer.from(` ${reason}\n`)])),
  }
}

/** One report of several, with our refusals, and with our words for what git calls no fast-forward. */
function merge(
  reports: readonly PushReport[],
  { runs, refusals }: PushPlan & { kind: 'run' },
): { readonly report: PushReport; readonly refusals: readonly RefRefusal[] } {
  const guarded = new Map(
    runs.flatMap(({ fastForwards }) =>
      fastForwards.map((refusal) => [refusal.command.refBytes.toString('latin1'), refusal]),
    ),
  )
  const forced: RefRefusal[] = []
  const lines = reports
    .flatMap((report) => report.lines)
    .filter((line) => {
      const { ref = '', reason } = refusedRef(line) ?? {}
      const refusal = reason === 'non-fast-forward' ? guarded.get(ref) : undefined
      if (refusal !== undefined) forced.push(refusal)
      return refusal === undefined
    })
  const unpack = reports.find((report) => report.unpack !== 'ok')?.unpack ?? 'ok'
  return { report: { unpack, lines }, refusals: [...refusals, ...forced] }
}
