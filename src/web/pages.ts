import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { RequestContext } from '../core/http.js'
import type { Principal } from './principal.js'

/**
 * Who may open a page.
 *
 * - `members`: signed in, with the second factor where one is required (the default)
 * - `enrolling`: signed in, even while a second factor is still to be set up
 * - `administrators`: others get 404
 */
export type Audience = 'anyone' | 'members' | 'enrolling' | 'administrators'

declare module 'fastify' {
  interface FastifyRequest {
    context: RequestContext
    principal: Principal
  }
  interface FastifyReply {
    /**
     * Sends a page.
     *
     * @param view the template's name under `views`
     * @param data its data, as `it`
     */
    page(view: string, data?: object, status?: number): Promise<FastifyReply>
  }
  interface FastifyContextConfig {
    audience?: Audience
  }
}

/** The Fastify instance of the pages, with the types of its routes. */
export type Pages = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>
