import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Caller, Identified, RouteNeeds } from './caller.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** The authenticated caller, once it is known. */
    identified: Identified | undefined
    caller: Caller
  }
  interface FastifyContextConfig {
    needs?: Partial<RouteNeeds>
  }
}

/** The Fastify instance of the API, with the types of its routes. */
export type Api = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>
