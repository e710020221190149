import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Caller, Identified, RouteNeeds } from './caller.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is authenticated, once that is known. */
    identified: Identified | undefined
    caller: Caller
  }
  interface FastifyContextConfig {
    needs?: Partial<RouteNeeds>
  }
}

/** The API's server with its routes' types. */
export type Api = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>
