import type {
  BackendMethod,
  BackendRequest,
  CacheResult,
  ClientPreferences,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { CacheEntry } from './cache-entry.js'
import { withBody } from './cacheable-request.js'
import type { ResponseCache } from './response-cache.js'
import type { ResponseShape } from './response-validator.js'
import { ResponseValidator } from './response-validator.js'

/** A request whose response may be shared under a key. */
export type SharedRequest = {
  readonly key: string
  readonly request: BackendRequest
  /** The decoded body; empty for an advertisement. */
  readonly body: Buffer
  /** The requester that the backend sees: none if accounts share responses. */
  readonly requester: BackendRequest['requester']
  /** Whether what the response depends on hasn't changed since the request arrived; `undefined`: it is never kept. */
  readonly keepIf: (() => Promise<boolean>) | undefined
  readonly shape: ResponseShape
}

/** Responds from the cache, joins a response in progress, or starts one that others can join. */
export async function serveShared(
  method: BackendMethod,
  cache: ResponseCache,
  shared: SharedRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const { key, request, body } = shared
  const found = cache.find(key)
  if (found !== undefined) {
    const result = found.end === undefined ? 'coalesced' : 'hit'
    cache.count(result)
    return withCacheResult(await found.pipeTo(request, response), result)
  }
  if (!cache.isEnabled) return await bypass(method, cache, withBody(request, body), response)
  cache.count('miss')
  const entry = cache.begin(key)
  const piping = entry.pipeTo(request, response)
  void produce(method, cache, shared, entry)
  const outcome = await piping
  // It may be a hit in another worker.
  return outcome.kind === 'answered' ? { ...outcome, cache: outcome.cache ?? 'miss' } : outcome
}

/** Lets the backend respond as if there were no cache. */
export async function bypass(
  method: BackendMethod,
  cache: ResponseCache,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  cache.count('bypass')
  return withCacheResult(await method(request, response), 'bypass')
}

/** Lets the backend write its response into an entry. Clients read it while it grows; it is kept if it is complete. */
async function produce(
  method: BackendMethod,
  cache: ResponseCache,
  { key, request, body, requester, keepIf, shape }: SharedRequest,
  entry: CacheEntry,
): Promise<void> {
  const validator = new ResponseValidator(shape)
  const input = entry.writable((piece) => validator.push(piece))
  const shared: BackendRequest = {
    ...withBody(request, body),
    requester,
    isShared: true,
    slotRequest: { ...request.slotRequest, onJoin: (join) => entry.onJoin(join) },
    // A compressed response would suit only some clients.
    preferences: withoutCompression(request.preferences),
    signal: entry.signal,
  }
  const writer: ResponseWriter = {
    begin(head) {
      entry.setHead(head)
      return input
    },
    onQueued: (queue) => entry.reportQueue(queue),
    // When the cache has no room, the backend waits for the clients.
    progress: () => ({ bytes: entry.spool.length, waitsForClient: input.writableLength > 0 }),
  }
  let outcome: ServeOutcome
  try {
    outcome = await method(shared, writer)
  } catch (error) {
    outcome = { kind: 'failed', reason: String(error), fault: 'backend' }
  }
  await new Promise<void>((resolve) => input.end(() => resolve()))
  const isComplete =
    outcome.kind === 'answered' &&
    outcome.failure === undefined &&
    entry.head.contentEncoding === undefined &&
    validator.completeness === 'complete'
  if (!isComplete || keepIf === undefined) {
    // Before the clients see its end, so that no other request finds it.
    cache.drop(key, entry)
    await entry.finish(outcome)
    return
  }
  await entry.finish(outcome)
  if (await keepIf()) cache.keep(key, entry)
  else cache.drop(key, entry)
}

/** A client's preferences without compression. */
export function withoutCompression({ accept, acceptLanguage, userAgent }: ClientPreferences): ClientPreferences {
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(acceptLanguage === undefined ? {} : { acceptLanguage }),
    ...(userAgent === undefined ? {} : { userAgent }),
  }
}

function withCacheResult(outcome: ServeOutcome, cache: CacheResult): ServeOutcome {
  return outcome.kind === 'answered' ? { ...outcome, cache } : outcome
}
