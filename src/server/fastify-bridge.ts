import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Handler, RequestContext } from '../core/http.js'
import { dropBody } from '../core/http.js'

/** What answers a request: Fastify's own router. */
export type Router = { routing(request: IncomingMessage, response: ServerResponse): void }

/** Lets a client that waits for `100 Continue` send its body. A handler calls it once it knows that it wants the body. */
export function inviteBody({ expectsContinue, response }: RequestContext): void {
  if (expectsContinue && !response.headersSent) response.writeContinue()
}

/**
 * Makes an API's router one of the gate's fronts.
 *
 * @param contexts where the router's hooks find the context of a request
 */
export function handlerOf(router: Router, contexts: WeakMap<IncomingMessage, RequestContext>): Handler {
  return async (context) => {
    const { request, response, target, record } = context
    contexts.set(request, context)
    // A proxy's absolute form is what it names.
    request.url = target
    response.once('finish', () => {
      const { statusCode } = response
      dropBody(request)
      record.decision ??= statusCode < 400 ? 'served' : statusCode < 500 ? 'refused' : 'failed'
    })
    await new Promise<void>((resolve) => {
      response.once('close', () => resolve())
      router.routing(request, response)
    })
  }
}
