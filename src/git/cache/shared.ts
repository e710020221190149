import { Readable } from 'node:stream'
import type { AnswerHead, Backend, CacheResult, Exchange, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { AnswerShape } from './answer-grammar.js'
import type { Recording } from './cache-entry.js'
import type { ResponseCache } from './response-cache.js'
import { WholenessTracker } from './response-validator.js'

/** A request whose answer may be shared, under a key. */
export type Shared = {
  readonly key: string
  readonly request: GitRequest
  /** The decoded body; empty for an advertisement. */
  readonly body: Buffer
  /** Who is told to the backend as asking: where answers are shared between accounts, nobody. */
  readonly requester: Exchange['requester']
  /** Whether what the answer depends on is as it was when the request came, so that it may be kept; `undefined`: it may never. */
  readonly keepIf: (() => Promise<boolean>) | undefined
  /** How its answer is built when it is whole. */
  readonly shape: AnswerShape
}

/** Responds from the cache, joins a response in progress, or starts one that others can join. */
export async function serveShared(
  backend: Backend,
  cache: ResponseCache,
  shared: Shared,
  exchange: Exchange,
): Promise<ServeOutcome> {
  const known = cache.find(shared.key)
  if (known !== undefined) {
    const result = known.end === undefined ? 'coalesced' : 'hit'
    cache.count(result)
    return told(await known.play(exchange), result)
  }
  if (!cache.isEnabled) return await bypass(backend, cache, shared.request, exchange, shared.body)
  cache.count('miss')
  const recording = cache.begin(shared.key)
  const playing = recording.play(exchange)
  void record(backend, cache, shared, exchange, recording)
  const outcome = await playing
  // Another worker may have had it.
  return outcome.kind === 'answered' ? { ...outcome, cache: outcome.cache ?? 'miss' } : outcome
}

/** Has the backend answer, as if there were no cache. @param body of the request, where it was read */
export async function bypass(
  backend: Backend,
  cache: ResponseCache,
  request: GitRequest,
  exchange: Exchange,
  body: Buffer | Readable | undefined,
): Promise<ServeOutcome> {
  cache.count('bypass')
  const replayed =
    body === undefined ? exchange : Buffer.isBuffer(body) ? withBody(exchange, body) : { ...exchange, body }
  return told(await backend.serve(request, replayed), 'bypass')
}

async function record(
  backend: Backend,
  cache: ResponseCache,
  shared: Shared,
  exchange: Exchange,
  recording: Recording,
): Promise<void> {
  const tracker = new WholenessTracker(shared.shape)
  const input = recording.input((piece) => tracker.push(piece))
  const heads: (AnswerHead | undefined)[] = []
  const run: Exchange = {
    ...withBody(exchange, shared.body),
    requester: shared.requester,
    isShared: true,
    turn: { ...exchange.turn, others: (join) => recording.whenJoined(join) },
    // Compressed, it could be given only to some.
    preferences: plainly(exchange.preferences),
    signal: recording.signal,
    // Where the cache has no room, the run waits for its readers.
    progress: () => ({ bytes: recording.bytes.length, waitsForClient: input.writableLength > 0 }),
    onWait: (queue) => recording.tellWait(queue),
    begin: (head) => {
      heads.push(head)
      recording.setHead(head)
      return input
    },
  }
  let outcome: ServeOutcome
  try {
    outcome = await backend.serve(shared.request, run)
  } catch (error) {
    outcome = { kind: 'failed', reason: String(error), fault: 'backend' }
  }
  await new Promise<void>((resolve) => input.end(() => resolve()))
  const isPlain = heads.every((head) => head?.contentEncoding === undefined)
  const isDone =
    outcome.kind === 'answered' && outcome.failure === undefined && isPlain && tracker.wholeness === 'whole'
  const keepIf = isDone ? shared.keepIf : undefined
  // Before its readers are let go: nobody else is to find it.
  if (keepIf === undefined) cache.drop(shared.key, recording)
  await recording.finish(outcome)
  if (keepIf === undefined) return
  if (await keepIf()) cache.keep(shared.key, recording)
  else cache.drop(shared.key, recording)
}

/** An exchange with a body that was read. */
function withBody(exchange: Exchange, body: Buffer): Exchange {
  return { ...exchange, body: Readable.from([body]), contentEncoding: undefined, contentLength: body.length }
}

/** What a client prefers, without compression. */
export function plainly({ accept, acceptLanguage, userAgent }: Exchange['preferences']): Exchange['preferences'] {
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(acceptLanguage === undefined ? {} : { acceptLanguage }),
    ...(userAgent === undefined ? {} : { userAgent }),
  }
}

function told(outcome: ServeOutcome, cache: CacheResult): ServeOutcome {
  return outcome.kind === 'answered' ? { ...outcome, cache } : outcome
}
