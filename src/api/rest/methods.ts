import type { FastifyInstance } from 'fastify'
import { ApiError } from './api-errors.js'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/**
 * Remembers the methods of each path that is registered from now on.
 *
 * @returns a function that registers a response for the other methods of each path
 */
export function watchMethods(api: FastifyInstance): () => void {
  const paths = new Map<string, Set<string>>()
  api.addHook('onRoute', ({ routePath, method }) => {
    const known = paths.get(routePath) ?? new Set()
    for (const one of [method].flat()) known.add(one)
    if (known.has('GET')) known.add('HEAD')
    paths.set(routePath, known)
  })
  return () => {
    for (const [url, known] of [...paths]) {
      const allowed = METHODS.filter((method) => known.has(method))
      const refuse = (): never => {
        throw new ApiError(405, { message: '405 Method Not Allowed' }, { Allow: allowed.join(', ') })
      }
      api.route({
        method: METHODS.filter((method) => !known.has(method)),
        url,
        schema: { hide: true },
        exposeHeadRoute: false,
        // Before authentication: the response is the same for everybody.
        onRequest: refuse,
        handler: refuse,
      })
    }
  }
}
