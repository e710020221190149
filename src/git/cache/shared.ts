import { Readable } from 'node:stream'
import type { AnswerHead, Backend, CacheResult, Exchange, ServeOutcome } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { ResponseShape } from './response-validator.js'
import type { CacheEntry } from './cache-entry.js'
import type { ResponseCache } from './response-cache.js'
import { ResponseValidator } from './response-validator.js'

/** A request whose response may be shared under a key. */
export type SharedRequest = {
  readonly key: string
  readonly request: GitRequest
  /** The decoded body; empty for an advertisement. */
  readonly body: Buffer
  /** The requester that the backend sees: none where accounts share responses. */
  readonly requester: Exchange['requester']
  /** Whether what the response depends on hasn't changed since the request arrived, so that it may be kept; `undefined`: never keep it. */
  readonly keepIf: (() => Promise<boolean>) | undefined
  /** The grammar of a complete response. */
  readonly shape: ResponseShape
}

/** Responds from the cache, joins a response in progress, or starts one that others can join. */
export async function serveShared(
  backend: Backend,
  cache: ResponseCache,
  shared: SharedRequest,
  exchange: Exchange,
): Promise<ServeOutcome> {
  const known = cache.find(shared.key)
  if (known !== undefined) {
    const result = known.end === undefined ? 'coalesced' : 'hit'
    cache.count(result)
    return withCacheResult(await known.pipeTo(exchange), result)
  }
  if (!cache.isEnabled) return await bypass(backend, cache, shared.request, exchange, shared.body)
  cache.count('miss')
  const entry = cache.begin(shared.key)
  const piping = entry.pipeTo(exchange)
  void storeResponse(backend, cache, shared, exchange, entry)
  const outcome = await piping
  // It may be a hit in another worker.
  return outcome.kind === 'answered' ? { ...outcome, cache: outcome.cache ?? 'miss' } : outcome
}

/** Lets the backend respond as if there were no cache. @param body of the request, where it was read */
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
  return withCacheResult(await backend.serve(request, replayed), 'bypass')
}

async function storeResponse(
  backend: Backend,
  cache: ResponseCache,
  shared: SharedRequest,
  exchange: Exchange,
  entry: CacheEntry,
): Promise<void> {
  const validator = new ResponseValidator(shared.shape)
  const input = entry.writable((piece) => validator.push(piece))
  const heads: (AnswerHead | undefined)[] = []
  const run: Exchange = {
    ...withBody(exchange, shared.body),
    requester: shared.requester,
    isShared: true,
    slotRequest: { ...exchange.slotRequest, onJoin: (join) => entry.onJoin(join) },
    // A compressed response would suit only some clients.
    preferences: withoutCompression(exchange.preferences),
    signal: entry.signal,
    // Where the cache has no room, the backend waits for the clients.
    progress: () => ({ bytes: entry.spool.length, waitsForClient: input.writableLength > 0 }),
    onWait: (queue) => entry.reportQueue(queue),
    begin: (head) => {
      heads.push(head)
      entry.setHead(head)
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
  const isComplete =
    outcome.kind === 'answered' && outcome.failure === undefined && isPlain && validator.completeness === 'complete'
  const keepIf = isComplete ? shared.keepIf : undefined
  // Before the clients see its end, so that no other request finds it.
  if (keepIf === undefined) cache.drop(shared.key, entry)
  await entry.finish(outcome)
  if (keepIf === undefined) return
  if (await keepIf()) cache.keep(shared.key, entry)
  else cache.drop(shared.key, entry)
}

/** An exchange whose body has been read. */
function withBody(exchange: Exchange, body: Buffer): Exchange {
  return { ...exchange, body: Readable.from([body]), contentEncoding: undefined, contentLength: body.length }
}

/** A client's preferences without compression. */
export function withoutCompression({
  accept,
  acceptLanguage,
  userAgent,
}: Exchange['preferences']): Exchange['preferences'] {
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(acceptLanguage === undefined ? {} : { acceptLanguage }),
    ...(userAgent === undefined ? {} : { userAgent }),
  }
}

function withCacheResult(outcome: ServeOutcome, cache: CacheResult): ServeOutcome {
  return outcome.kind === 'answered' ? { ...outcome, cache } : outcome
}
