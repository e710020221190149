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
import { advertisementKey, cacheKey, protocolVersionOf } from './cache-key.js'
import type { UploadPackRequest } from './upload-pack-request.js'
import { readUploadPackRequest } from './read-upload-pack-request.js'
import type { SharedRequest } from './shared.js'
import { bypass, serveShared } from './shared.js'
import type { ResponseCache } from './response-cache.js'

type FetchRequest = UploadPackRequest & { readonly kind: 'fetch' }
/** A request that has a key. */
type CacheableRequest =
  | FetchRequest
  /** Whether the response contains refs. If not, it stays valid when they change. */
  | { readonly kind: 'advertisement' | 'refs'; readonly key: string; readonly tellsRefs: boolean }

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
  const { repository, gitProtocol } = request
  const share = async (body: Buffer, parsed: CacheableRequest): Promise<ServeOutcome> => {
    const state = await freshness.state(repository)
    if (state === undefined) return await bypass(method, cache, request, response, body)
    const validatorIn = async (now: RepositoryState): Promise<string | undefined> => {
      if (parsed.kind === 'fetch') return await validatorOf(parsed, now, freshness, repository)
      return parsed.tellsRefs ? now.fingerprint : cacheKey('entry', [now.identity, now.configuration])
    }
    const validator = await validatorIn(state)
    if (validator === undefined) return await bypass(method, cache, request, response, body)
    const isSame = async (): Promise<boolean> => {
      const now = await freshness.state(repository)
      // A push to other refs while the pack was computed doesn't invalidate it.
      return now !== undefined && (await validatorIn(now)) === validator
    }
    const shared: SharedRequest = {
      key: cacheKey('entry', [validator, parsed.key]),
      request,
      body,
      requester: undefined,
      keepIf: parsed.kind === 'fetch' && !parsed.isStorable ? undefined : isSame,
      shape: parsed.kind === 'fetch' ? parsed.shape : parsed.kind,
    }
    return await serveShared(method, cache, shared, response)
  }

  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, gitProtocol)
    return key === undefined
      ? await bypass(method, cache, request, response, undefined)
      : // Version 2 advertises only capabilities, which depend on git and its configuration.
        await share(Buffer.alloc(0), { kind: 'advertisement', key, tellsRefs: protocolVersionOf(gitProtocol) !== 2 })
  }
  const read = await readUploadPackRequest(request)
  switch (read.kind) {
    case 'client-left':
      return { kind: 'broken', reason: 'the client left' }
    case 'unparsed':
      return await bypass(method, cache, request, response, read.body)
    case 'parsed':
      return await share(read.body, read.request.kind === 'fetch' ? read.request : { ...read.request, tellsRefs: true })
  }
}

/**
 * The state that the response to a fetch depends on, as an opaque text. A fetch of tips depends on the objects that they reach, so
 * its response stays valid when other refs are pushed. Any other fetch depends on all refs, and on which objects are there: those that
 * nothing refers to any more can be pruned, for example to remove a leaked secret.
 *
 * @returns `undefined` when it is unknown
 */
async function validatorOf(
  { wants, dependsOn }: FetchRequest,
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
