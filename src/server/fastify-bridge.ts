import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Front, HttpExchange } from '../core/http.js'
import { dropBody } from '../core/http.js'

/** What answers a request: Fastify's own router. */
export type Router = { routing(request: IncomingMessage, response: ServerResponse): void }

/** Lets a client send its body that waits for `100 Continue`. A front calls it once it knows that it wants the body. */
export function inviteBody({ expectsContinue, response }: HttpExchange): void {
  if (expectsContinue && !response.headersSent) response.writeContinue()
}

/**
 * Makes an API's router one of the gate's fronts.
 *
 * @param exchanges where the router's hooks find the exchange of a request
 */
export function frontOf(router: Router, exchanges: WeakMap<IncomingMessage, HttpExchange>): Front {
  return async (exchange) => {
    const { request, response, target, record } = exchange
    exchanges.set(request, exchange)
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
