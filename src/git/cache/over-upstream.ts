import type { BackendMethod, BackendRequest, ResponseWriter, ServeOutcome } from '../../protocol/backend.js'
import { CLIENT_LEFT } from './cache-entry.js'
import { cacheKey } from './cache-key.js'
import type { CacheableRequest } from './cacheable-request.js'
import { readCacheableRequest, withBody } from './cacheable-request.js'
import type { RequestCoalescer } from './request-coalescer.js'
import type { ResponseCache } from './response-cache.js'
import { bypass, serveShared, withoutCompression } from './shared-response.js'
import type { ShownRefs } from './shown-refs.js'

export type UpstreamCache = {
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
export async function serveOverUpstream(
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
