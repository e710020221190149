import type { Backend, BackendMethod } from '../../protocol/backend.js'
import { serveOverEmbedded } from './over-embedded.js'
import { serveOverUpstream } from './over-upstream.js'
import { RequestCoalescer } from './request-coalescer.js'
import type { ResponseCache } from './response-cache.js'
import { ShownRefs } from './shown-refs.js'

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
