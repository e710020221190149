import type { Readable } from 'node:stream'
import { millisecondsSince } from '../http.js'
import type { Exchange, ServeOutcome } from '../protocol/backend.js'
import type { PushHead } from '../protocol/push-head.js'
import type { SideBand } from '../protocol/side-band.js'
import { prepend } from './body.js'
import type { Admitted } from './conclude.js'
import type { OpenExchange } from './exchange.js'

/** A push whose commands are known. */
export type Push = OpenExchange & {
  readonly admitted: Admitted
  readonly head: PushHead
  /** The pack, decoded, where one follows. */
  readonly pack: Readable
  /** How the answer is multiplexed, if at all. */
  readonly sideBand: SideBand | undefined
  /** Whether the answer was begun. */
  readonly isBegun: () => boolean
}

/** The exchange that a backend is given: a head of our own encoding, or the very bytes that were parsed, and the pack. */
export function withHead({ head, pack, git }: Push, bytes: Buffer): Exchange {
  const length = git.contentEncoding === undefined ? git.contentLength : undefined
  return {
    ...git,
    body: prepend(bytes, pack),
    contentEncoding: undefined,
    contentLength: length === undefined ? undefined : length - head.bytes.length + bytes.length,
  }
}

/** Gives the push to the backend; a repository that is to be created is created first. */
export async function handOver({ admitted }: Push, git: Exchange): Promise<ServeOutcome> {
  const { request, creates, exchange, options } = admitted
  const started = performance.now()
  if (creates) await options.backend.creation?.create(request.repository)
  const outcome = await options.backend.serve(request, git)
  exchange.record.backend_ms = (exchange.record.backend_ms ?? 0) + millisecondsSince(started)
  return outcome
}
