import type { Backend, BackendMethod } from '../../protocol/backend.js'
import { RequestCoalescer } from './request-coalescer.js'
import { serveOverEmbedded } from './over-embedded.js'
import { serveOverUpstream } from './over-upstream.js'
import type { ResponseCache } from './response-cache.js'
import { ShownRefs } from './shown.js'

/**
 * A backend with a cache before it. It stands behind the decision about each request: nobody gets a byte, kept or not, who may
 * not read.
 *
 * @param isSameForAll whether a server elsewhere answers the same to everybody
 * @param shownRefsMs how long what it has shown to an account vouches for its commits, in milliseconds
 */
export function cachedBackend(
  backend: Backend,
  cache: ResponseCache,
  isSameForAll: boolean,
  shownRefsMs: number,
): Backend {
  const { freshness } = backend
  const upstream = {
    cache,
    shown: new ShownRefs(shownRefsMs),
    coalescer: new RequestCoalescer(),
    isSameForAll,
  }
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
