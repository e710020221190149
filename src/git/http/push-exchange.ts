import type { Readable, TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'
import type { RequestContext } from '../../core/http.js'
import { unread } from '../../core/read-ahead.js'
import { millisecondsSince } from '../../core/http.js'
import type { BackendRequest, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import type { PushHead } from '../../protocol/push-head.js'
import { encodeRefusal } from '../../protocol/push-report.js'
import type { SideBand } from '../../protocol/side-band.js'
import { encodeAnswer, encodeProgress } from '../../protocol/side-band.js'
import { flowInto, undecoded } from './push-body.js'
import type { AuthorizedRequest } from './finish-response.js'
import type { GitResponse } from './git-response.js'
import { reports } from './push-plan.js'

// Well within the two seconds in which a revoked push has ended.
const READ_TIMEOUT_MS = 1_000

/** A push whose commands are known. */
export type Push = GitResponse & {
  readonly authorized: AuthorizedRequest
  readonly head: PushHead
  /** The pack, decoded, where one follows. */
  readonly pack: Readable
  /** How the answer is multiplexed, if at all. */
  readonly sideBand: SideBand | undefined
  /** Whether the answer was begun. */
  readonly isBegun: () => boolean
}

/** Whether words for people are wanted. */
export function wantsProgress({ head }: Pick<Push, 'head'>): boolean {
  return !head.capabilities.has('quiet')
}

/** The request that a backend is given: a head of our own encoding, or the very bytes that were parsed, and the pack. */
export function withHead({ head, pack, git }: Push, bytes: Buffer): BackendRequest {
  const length = git.contentEncoding === undefined ? git.contentLength : undefined
  return {
    ...git,
    body: unread(bytes, pack),
    contentEncoding: undefined,
    contentLength: length === undefined ? undefined : length - head.bytes.length + bytes.length,
  }
}

/** Gives the push to the backend; a repository that is to be created is created first. */
export async function handOver(
  { authorized }: Push,
  git: BackendRequest,
  writer: ResponseWriter,
): Promise<ServeOutcome> {
  const { request, creates, context: context, options, isStillAllowed } = authorized
  const started = performance.now()
  if (creates) await options.backend.creation?.create(request.repository)
  const body = new PushGuard(git.body, isStillAllowed)
  const outcome = await options.backend.receivePack({ ...git, body }, writer)
  context.record.backend_ms = (context.record.backend_ms ?? 0) + millisecondsSince(started)
  return outcome
}

/**
 * Ends a push that is not allowed any more, before the backend has answered: its input ends, so that it changes nothing,
 * and each ref is told the reason.
 *
 * @returns false where the client takes no report
 */
export function endPush(push: Push, text: string): boolean {
  const { head, pack, sideBand, writer, end, abort } = push
  if (!reports(head) || push.isBegun()) return false
  abort()
  pack.unpipe()
  undecoded(pack, push.authorized.context.request).resume()
  const report = encodeRefusal(head.commands.map((command) => ({ command, reason: text })))
  const answer = writer.begin()
  if (sideBand !== undefined) answer.write(encodeProgress(text, sideBand))
  answer.write(sideBand === undefined ? report : encodeAnswer(report, sideBand))
  whenRead(push.authorized.context, end)
  return true
}

/**
 * Waits, a moment at most, until the client has sent all where the connection ends with the response: while bytes of the
 * request are unread it would be reset, and the client might lose the response.
 */
function whenRead({ request, response }: RequestContext, end: () => void): void {
  if (request.complete || response.shouldKeepAlive) return end()
  const timer = setTimeout(end, READ_TIMEOUT_MS)
  request.once('end', () => {
    clearTimeout(timer)
    end()
  })
}

/**
 * Passes a push on as long as it is still allowed. A client can hold the pack back for hours after its commands were
 * decided, and git acts at the pack's last byte: so each piece passes only after a look at the security epoch, and the
 * first only when the backend reads it, since the push may have waited for a slot.
 */
class PushGuard extends Transform {
  readonly #source: Readable
  readonly #isStillAllowed: () => Promise<boolean>
  #isFlowing = false

  /** @param isStillAllowed ends the push itself where it is not */
  constructor(source: Readable, isStillAllowed: () => Promise<boolean>) {
    super()
    this.#source = source
    this.#isStillAllowed = isStillAllowed
  }

  override _read(size: number): void {
    if (!this.#isFlowing) {
      this.#isFlowing = true
      flowInto(this.#source, this)
    }
    super._read(size)
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#isStillAllowed().then(
      (isAllowed) => (isAllowed ? done(null, piece) : this.destroy()),
      (error: unknown) => done(error as Error),
    )
  }
}
