import { hash } from 'node:crypto'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  CacheResult,
  ClientPreferences,
  Freshness,
  RefList,
  RepositoryState,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { CacheEntry } from './cache-entry.js'
import { CLIENT_LEFT } from './cache-entry.js'
import { cacheKey } from './cache-key.js'
import { RequestCoalescer } from './request-coalescer.js'
import type { ResponseCache } from './response-cache.js'
import type { ResponseShape } from './response-validator.js'
import { ResponseValidator } from './response-validator.js'
import { ShownRefs } from './shown-refs.js'
import type { CacheableRequest } from './upload-pack-request.js'
import { readCacheableRequest, withBody } from './upload-pack-request.js'

/**
 * A backend behind a cache. Access is decided before a request gets here: nobody gets a byte, cached or not, who may not
 * read.
 *
 * @param isSameForAll whether an upstream responds the same to everybody
 * @param shownRefsMs how long the cache may serve packs of the objects that an upstream has shown to an account, in
 *   milliseconds
 */
export function cachedBackend(
  backend: Backend,
  cache: ResponseCache,
  isSameForAll: boolean,
  shownRefsMs: number,
): Backend {
  const { freshness } = backend
  const upstream = { cache, shownRefs: new ShownRefs(shownRefsMs), coalescer: new RequestCoalescer(), isSameForAll }
  const cached = (method: BackendMethod): BackendMethod =>
    freshness === undefined
      ? async (request, response) => await serveOverUpstream(upstream, method, request, response)
      : async (request, response) => await serveOverEmbedded(freshness, cache, method, request, response)
  const advertise = cached(backend.advertise)
  return {
    ...backend,
    advertise: (request, response) =>
      (request.service === 'git-receive-pack' ? backend.advertise : advertise)(request, response),
    uploadPack: cached(backend.uploadPack),
  }
}

/**
 * The cache over the embedded server, whose files show whether a repository has changed. All accounts that may read the
 * repository get the same responses, so they share them.
 */
async function serveOverEmbedded(
  freshness: Freshness,
  cache: ResponseCache,
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const read = await readCacheableRequest(request)
  if (read.kind === 'client-left') return CLIENT_LEFT
  if (read.kind === 'uncacheable') return await bypass(method, cache, read.request, response)

  const { cacheable, body } = read
  const validator = await validatorOf(cacheable, freshness, request.repository)
  if (validator === undefined) return await bypass(method, cache, withBody(request, body), response)
  // A push to other refs while the pack is computed doesn't invalidate it.
  const isUnchanged = async (): Promise<boolean> =>
    (await validatorOf(cacheable, freshness, request.repository)) === validator
  const isFetch = cacheable.kind === 'fetch'
  const shared = {
    key: cacheKey('entry', [validator, cacheable.key]),
    request,
    body,
    requester: undefined,
    keepIf: isFetch && !cacheable.isStorable ? undefined : isUnchanged,
    shape: isFetch ? cacheable.shape : cacheable.kind,
  }
  return await serveShared(method, cache, shared, response)
}

/**
 * What the response depends on in the repository's present state, as an opaque text.
 *
 * @returns `undefined` when it is unknown
 */
async function validatorOf(
  request: CacheableRequest,
  freshness: Freshness,
  repository: RepositoryPath,
): Promise<string | undefined> {
  const state = await freshness.state(repository)
  if (state === undefined) return undefined
  switch (request.kind) {
    case 'advertisement':
      // Capabilities depend on Git and its configuration.
      return request.listsRefs ? state.fingerprint : cacheKey('entry', [state.identity, state.configuration])
    case 'refs':
      return state.fingerprint
    case 'fetch':
      return await validatorOfFetch(request, state, freshness, repository)
  }
}

/**
 * A fetch of tips depends on the objects that they reach, so its response stays valid when other refs are pushed. Any other
 * fetch depends on all refs, and on which objects exist: unreachable ones can be pruned, for example to remove a leaked
 * secret.
 */
async function validatorOfFetch(
  { wants, dependsOn }: CacheableRequest & { readonly kind: 'fetch' },
  state: RepositoryState,
  freshness: Freshness,
  repository: RepositoryPath,
): Promise<string | undefined> {
  const refs = await freshness.refs(repository, state)
  if (refs === undefined || !wants.every((want) => refs.tips.has(want))) {
    const objects = await freshness.objects(repository)
    return objects && cacheKey('entry', [state.fingerprint, objects])
  }
  if (dependsOn.allRefs) return state.fingerprint
  return cacheKey('entry', [state.identity, state.configuration, dependsOn.tags ? hashOfTags(refs) : ''])
}

function hashOfTags({ ids }: RefList): string {
  const tags = [...ids].filter(([name]) => name.startsWith('refs/tags/'))
  return hash('sha256', JSON.stringify(tags))
}

type UpstreamCache = {
  readonly cache: ResponseCache
  readonly shownRefs: ShownRefs
  readonly coalescer: RequestCoalescer
  /** Whether the upstream responds the same to everybody. Otherwise responses are shared within one account only. */
  readonly isSameForAll: boolean
}

/**
 * The cache over an upstream, whose repositories may change behind the gate at any time, and which may decide by account.
 * Ref lists always come from the upstream, by a request made after the client's. A pack comes from the cache if the upstream
 * has just shown this account every object that the client wants.
 */
async function serveOverUpstream(
  upstream: UpstreamCache,
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
): Promise<ServeOutcome> {
  const read = await readCacheableRequest(request)
  if (read.kind === 'client-left') return CLIENT_LEFT
  if (read.kind === 'uncacheable') return await bypass(method, upstream.cache, read.request, response)
  const { cacheable, body } = read
  return cacheable.kind === 'fetch'
    ? await servePack(upstream, method, request, response, cacheable, body)
    : await serveRefs(upstream, method, request, response, cacheable, body)
}

async function servePack(
  { cache, shownRefs, isSameForAll }: UpstreamCache,
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
  { key, wants, dependsOn, isStorable, shape }: CacheableRequest & { readonly kind: 'fetch' },
  body: Buffer,
): Promise<ServeOutcome> {
  const { repository, requester } = request
  const account = accountOf(request)
  const shown = shownRefs.find(account, repository)
  const isKnown = shown !== undefined && !dependsOn.allRefs && wants.every((want) => shown.ids.has(want))
  if (!isKnown) return await bypass(method, cache, withBody(request, body), response)
  const shared = {
    key: cacheKey('entry', [repository, isSameForAll ? '@all' : account, dependsOn.tags ? shown.tags : '', key]),
    request,
    body,
    requester,
    // The account may have packs of these objects for as long as the upstream shows them to it.
    keepIf: isStorable ? () => Promise.resolve(true) : undefined,
    shape,
  }
  return await serveShared(method, cache, shared, response)
}

/** Requests a ref list for one client, or for all of the account that came while the previous request ran. */
async function serveRefs(
  { cache, shownRefs, coalescer }: UpstreamCache,
  method: BackendMethod,
  request: BackendRequest,
  response: ResponseWriter,
  { kind, key }: CacheableRequest & { readonly kind: 'advertisement' | 'refs' },
  body: Buffer,
): Promise<ServeOutcome> {
  const { repository, requester } = request
  const account = accountOf(request)
  const coalesced = await coalescer.join(cacheKey('entry', [repository, account, key]), request.signal)
  if (coalesced === undefined) return CLIENT_LEFT
  const { sharedKey, end } = coalesced
  const recorded: BackendMethod = async (listing, client) => {
    const recorder = shownRefs.recorder(account, repository, client)
    // A compressed list can't be read.
    const plain = { ...listing, preferences: withoutCompression(listing.preferences) }
    try {
      const outcome = await method(plain, recorder)
      await recorder.finish(outcome, listing.signal)
      return outcome
    } finally {
      // It ends with the upstream's response: slow readers don't delay the next request.
      end()
    }
  }
  if (sharedKey === undefined) return await bypass(recorded, cache, withBody(request, body), response)
  const shared = { key: sharedKey, request, body, requester, keepIf: undefined, shape: kind }
  return await serveShared(recorded, cache, shared, response)
}

/** Anonymous readers count as one account. */
function accountOf({ requester }: BackendRequest): string {
  return requester === undefined ? '@anonymous' : requester.username
}

/** A request whose response may be shared under a key. */
type SharedRequest = {
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
async function serveShared(
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
async function bypass(
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
function withoutCompression({ accept, acceptLanguage, userAgent }: ClientPreferences): ClientPreferences {
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(acceptLanguage === undefined ? {} : { acceptLanguage }),
    ...(userAgent === undefined ? {} : { userAgent }),
  }
}

function withCacheResult(outcome: ServeOutcome, cache: CacheResult): ServeOutcome {
  return outcome.kind === 'answered' ? { ...outcome, cache } : outcome
}
