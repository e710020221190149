import { constants, gunzipSync } from 'node:zlib'
import { millisecondsSince } from '../../core/http.js'
import { readAhead, unread } from '../../core/read-ahead.js'
import { asksForRefs, readFetchRequest } from '../../protocol/fetch-request.js'
import { classifyBodyStart } from '../../protocol/pkt-line.js'
import { BAND, encodeBand, encodeProgress } from '../../protocol/side-band.js'
import { refuse } from './refusal-response.js'
import { announcing } from './announce.js'
import { speaking } from './answer-stream.js'
import type { AuthorizedRequest, Spoken } from './finish-response.js'
import { answerNothing, finishResponse, requesterOf } from './finish-response.js'
import type { GitResponse } from './git-response.js'
import { isGzip, openGitResponse } from './git-response.js'

// What a request asks of its answer stands before the objects that it wants.
const LOOKED_AT = 4_096

/** Serves the RPC of a fetch. */
export async function serveFetch(authorized: AuthorizedRequest): Promise<void> {
  const { request, identity, context: context, options, audit: audit, isStillAllowed } = authorized
  const start = await readAhead(context.request, LOOKED_AT)
  if (start === undefined) return
  const kind = isGzip(context.request) ? 'packets' : classifyBodyStart(start)
  if (kind === 'empty' || kind === 'not-packets') {
    refuse({ kind: 'body-malformed' }, context, options)
    return
  }
  const isList = asksForRefs(start)
  if (isList) audit.listsRefs()
  if (!(await isStillAllowed())) return
  const opened = openGitResponse(context, request, requesterOf(identity))
  const slotRequest = { ...opened.git.slotRequest, isSmall: isList }
  const whole = { ...opened, git: { ...opened.git, slotRequest, body: unread(start, context.request) } }
  const served = await withWords(whole, start, authorized)
  const started = performance.now()
  const outcome =
    kind === 'flush-only' ? answerNothing(served.writer) : await options.backend.uploadPack(served.git, served.writer)
  context.record.backend_ms = millisecondsSince(started)
  finishResponse(outcome, served, authorized)
}

/**
 * Puts a notice into the answer, words while it waits, and last words should it come to that, where the client takes such
 * packets.
 */
async function withWords(
  served: GitResponse,
  start: Buffer,
  authorized: AuthorizedRequest,
): Promise<GitResponse & Partial<Spoken>> {
  const { identity, context: context, options, terminalMessage: terminalMessage } = authorized
  const asked = readFetchRequest(isGzip(context.request) ? gunzipStart(start) : start)
  if (asked === undefined) return served
  const { lead, sideBand, wantsProgress, firstPacket } = asked
  const notice = wantsProgress ? await options.access.expiryWarning(identity, options.baseUrl()) : undefined
  const packets = notice === undefined ? Buffer.alloc(0) : encodeProgress(notice, sideBand)
  const exchangeWithWords = speaking(served, lead, packets)
  const endWith = (text: string): boolean =>
    exchangeWithWords.endWith(encodeBand(BAND.fatal, Buffer.from(`${text}\n`), sideBand))
  terminalMessage.sendWith(endWith)
  if (firstPacket === undefined) return { ...exchangeWithWords, endWith }
  return { ...announcing(exchangeWithWords, { firstPacket, sideBand, wantsProgress }), endWith }
}

/** As much as the first bytes of a compressed body tell; nothing where they are damaged. */
function gunzipStart(start: Buffer): Buffer {
  try {
    return gunzipSync(start, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 1_048_576 })
  } catch {
    return Buffer.alloc(0)
  }
}
