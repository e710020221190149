import { hash } from 'node:crypto'
import type {
  BackendMethod,
  BackendRequest,
  Freshness,
  RefList,
  RepositoryState,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { CLIENT_LEFT } from './cache-entry.js'
import { cacheKey } from './cache-key.js'
import type { CacheableRequest } from './cacheable-request.js'
import { readCacheableRequest, withBody } from './cacheable-request.js'
import type { ResponseCache } from './response-cache.js'
import { bypass, serveShared } from './shared-response.js'

/**
 * The cache over the embedded server, whose files show whether a repository has changed. All accounts that may read the
 * repository get the same responses, so they share them.
 */
export async function serveOverEmbedded(
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
