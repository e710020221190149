import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Handler, RequestContext } from '../core/http.js'
import { dropBody } from '../core/http.js'

/** Fastify's router. */
export type Router = { routing(request: IncomingMessage, response: ServerResponse): void }

/** Sends `100 Continue` to a client that waits for it. Handlers call it once they want the body. */
export function inviteBody({ expectsContinue, response }: RequestContext): void {
  if (expectsContinue && !response.headersSent) response.writeContinue()
}

/**
 * Makes a Fastify application a handler of the gate.
 *
 * @param contexts where the application's hooks find the context of a request
 */
export function handlerOf(router: Router, contexts: WeakMap<IncomingMessage, RequestContext>): Handler {
  return async (context) => {
    const { request, response, target, record } = context
    contexts.set(request, context)
    // A proxy may send the absolute form.
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
