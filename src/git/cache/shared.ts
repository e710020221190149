import { Readable } from 'node:stream'
import type {
  BackendMethod,
  BackendRequest,
  CacheResult,
  ClientPreferences,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { ResponseShape } from './response-validator.js'
import type { CacheEntry } from './cache-entry.js'
import type { ResponseCache } from './response-cache.js'
import { ResponseValidator } from './response-validator.js'

/** A request whose response may be shared under a key. */
export type SharedRequest = {
  readonly key: string
  readonly request: BackendRequest
  /** The decoded body; empty for an advertisement. */
  readonly body: Buffer
  /** The requester that the backend sees: none where accounts share responses. */
  readonly requester: BackendRequest['requester']
  /** Whether what the response depends on hasn't changed since the request arrived, so that it may be kept; `undefined`: never keep it. */
  readonly keepIf: (() => Promise<boolean>) | undefined
  /** The grammar of a complete response. */
  readonly shape: ResponseShape
}

/** Responds from the cache, joins a response in progress, or starts one that others can join. */
export async function serveShared(
  method: BackendMethod,
  cache: ResponseCache,
  shared: SharedRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const known = cache.find(shared.key)
  if (known !== undefined) {
    const result = known.end === undefined ? 'coalesced' : 'hit'
    cache.count(result)
    return withCacheResult(await known.pipeTo(shared.request, response), result)
  }
  if (!cache.isEnabled) return await bypass(method, cache, shared.request, response, shared.body)
  cache.count('miss')
  const entry = cache.begin(shared.key)
  const piping = entry.pipeTo(shared.request, response)
  void storeResponse(method, cache, shared, entry)
  const outcome = await piping
  // It may be a hit in another worker.
  return outcome.kind === 'answered' ? { ...outcome, cache: outcome.cache ?? 'miss' } : outcome
}

/** Lets the backend respond as if there were no cache. @param body of the request, where it was read */
export async function bypass(
  method: BackendMethod,
  cache: ResponseCache,
  request: BackendRequest,
  response: ResponseWriter,
  body: Buffer | Readable | undefined,
): Promise<ServeOutcome> {
  cache.count('bypass')
  const replayed = body === undefined ? request : Buffer.isBuffer(body) ? withBody(request, body) : { ...request, body }
  return withCacheResult(await method(replayed, response), 'bypass')
}

async function storeResponse(
  method: BackendMethod,
  cache: ResponseCache,
  shared: SharedRequest,
  entry: CacheEntry,
): Promise<void> {
  const { request } = shared
  const validator = new ResponseValidator(shared.shape)
  const run: BackendRequest = {
    ...withBody(request, shared.body),
    requester: shared.requester,
    isShared: true,
    slotRequest: { ...request.slotRequest, onJoin: (join) => entry.onJoin(join) },
    // A compressed response would suit only some clients.
    preferences: withoutCompression(request.preferences),
    signal: entry.signal,
  }
  const input = entry.writable((piece) => validator.push(piece))
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
    outcome = await method(run, writer)
  } catch (error) {
    outcome = { kind: 'failed', reason: String(error), fault: 'backend' }
  }
  await new Promise<void>((resolve) => input.end(() => resolve()))
  const isPlain = entry.head.contentEncoding === undefined
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

/** A request whose body has been read. */
function withBody(request: BackendRequest, body: Buffer): BackendRequest {
  return { ...request, body: Readable.from([body]), contentEncoding: undefined, contentLength: body.length }
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
