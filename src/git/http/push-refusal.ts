import type { Writable } from 'node:stream'
import type { RefRefusal } from '../../protocol/push-report.js'
import { encodeRefusal } from '../../protocol/push-report.js'
import { BAND, encodeAnswer, encodeBand, encodeProgress } from '../../protocol/side-band.js'
import { refuse } from './refusal-response.js'
import type { Push } from './push-exchange.js'
import { drain, undecoded } from './push-body.js'
import { reports } from './push-plan.js'

const MEBIBYTE = 1_048_576
// Clients read the answer when they have sent all; who sends much learns at once that it is in vain.
const LONG = 4 * MEBIBYTE
// As much as a push may bring where no setting says less.
const DRAINED = 10 * 1024
// Time for the last words to arrive before the connection goes.
const LINGER = 2_000

/**
 * Answers a push of which nothing is done: its reasons stand in the report, one for each ref, where git shows them. The
 * backend is not asked. No client stops sending at an early answer, and one whose connection is cut loses the reason, so
 * the pack is read and dropped (measured).
 *
 * @param reason what decided, for where a single one is told
 */
export async function refusePush(push: Push, refusals: readonly RefRefusal[], reason: string): Promise<void> {
  const { authorized: authorized, head, pack, sideBand, end } = push
  const { context: context, options } = authorized
  if (!reports(head) && sideBand === undefined) {
    refuse({ kind: 'push-refused', reason }, context, options)
    return
  }
  const { record } = context
  record.decision = 'refused'
  record.rule = reason
  record.refused_refs = refusals.length
  await authorized.audit.refuses()
  let answer: Writable | undefined
  const begin = (): Writable => (answer ??= push.writer.begin())
  const say = (text: string): void => {
    if (sideBand !== undefined) begin().write(encodeProgress(text, sideBand))
  }
  const limit = (await options.access.settings()).receive_max_input_size ?? DRAINED
  const onLong = (): void => say(`push refused: ${reason}`)
  const drained = await drain(undecoded(pack, context.request), { limit: limit * MEBIBYTE, longAfter: LONG, onLong })
  if (drained === 'client-left' || (record.decision as string) === 'revoked') return
  if (drained === 'too-long') say(`push refused: ${reason}; upload stopped after ${limit} MiB`)
  const client = begin()
  const report = encodeRefusal(refusals)
  if (sideBand === undefined) client.write(report)
  else if (reports(head)) client.write(encodeAnswer(report, sideBand))
  else client.write(encodeBand(BAND.fatal, Buffer.from(`push refused: ${reason}\n`), sideBand))
  end()
  if (drained === 'too-long') setTimeout(() => context.request.destroy(), LINGER).unref()
}
