import type { FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { DocumentNode } from 'graphql'
import { execute, GraphQLError, Kind, OperationTypeNode, parse, specifiedRules, validate } from 'graphql'
import type { IncomingMessage } from 'node:http'
import type { Handler, RequestContext } from '../../core/http.js'
import { isUnavailable, RETRY_AFTER_SECONDS } from '../../core/errors.js'
import { MAX_CREDENTIAL_BODY } from '../../core/http.js'
import { handlerOf, inviteBody } from '../../server/fastify-bridge.js'
import type { Caller } from '../rest/caller.js'
import { authorizeCaller, hasShortBody, identifyAfterBody, identifyToken, secretOf } from '../rest/caller.js'
import { ApiError } from '../rest/api-errors.js'
import type { ApiOptions } from '../rest/api-options.js'
import { parseForm } from '../rest/parameters.js'
import { excessOf } from './limits.js'
import type { GraphqlContext } from './resolvers.js'
import { rootOf } from './resolvers.js'
import { schema } from './schema.js'

const PATH = '/api/graphql'
const MAX_QUERY = 10_000
const MAX_BODY = 262_144
// For queries; mutations require `api` themselves.
const NEEDS = { scopes: ['api', 'read_api'] as const, admin: false, takesLimited: true }

/** GitLab's GraphQL API, for the account's own tokens. */
export async function graphqlApi(options: ApiOptions): Promise<Handler> {
  const contexts = new WeakMap<IncomingMessage, RequestContext>()
  const root = rootOf(options)
  const app = Fastify({ logger: false, bodyLimit: MAX_BODY, routerOptions: { querystringParser: parseForm } })

  const contextOf = (request: FastifyRequest): RequestContext => {
    const context = contexts.get(request.raw)
    if (context === undefined) throw new TypeError('the request has no context')
    return context
  }
  /** Authenticates the caller; `undefined` without a token. @throws ApiError */
  const callerOf = async (request: FastifyRequest): Promise<Caller | undefined> => {
    if (secretOf(request) === undefined) return undefined
    const context = contextOf(request)
    const identified = await identifyAfterBody(request, context, options)
    return await authorizeCaller(request, context, NEEDS, identified, options)
  }

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const caller = await callerOf(request)
    const { query, variables, operationName } = parametersOf(request)
    if (query.length > MAX_QUERY) return await fail(reply, 422, 'Query too large')
    const document = parsed(query)
    if (document instanceof GraphQLError) return { errors: [document] }
    // First, because the time of validation isn't linear in the size of the query.
    const excess = excessOf(document)
    if (excess !== undefined) return { errors: [excess] }
    const errors = validate(schema, document, specifiedRules)
    if (errors.length > 0) return { errors }
    if (request.method === 'GET' && isMutation(document)) {
      return await fail(reply, 422, 'Mutations are forbidden in GET requests')
    }
    const result = await execute({
      schema,
      document,
      // Without a token only introspection answers: the fields of `Query` are null, and nothing is looked up.
      rootValue: caller === undefined && !isMutation(document) ? {} : root,
      contextValue: { caller, searched: Promise.resolve() } satisfies GraphqlContext,
      ...(variables === undefined ? {} : { variableValues: variables }),
      ...(operationName === undefined ? {} : { operationName }),
    })
    const failure = result.errors?.map(({ originalError }) => originalError).find(isUnavailable)
    // If other mutations of the query were made, the client must learn it.
    const isPartial = Object.values(result.data ?? {}).some((value) => value !== null)
    if (failure !== undefined && !isPartial) throw failure
    return result
  }

  app.decorateRequest('identified')
  // Before the body is read; without a token the body must be short.
  app.addHook('preParsing', async (request, reply) => {
    if (request.is404) return await reply.status(404).send({ error: '404 Not Found' })
    const context = contextOf(request)
    context.record.route = PATH
    if (secretOf(request) !== undefined) request.identified = await identifyToken(request, context, options)
    else if (request.method === 'POST' && !hasShortBody(request))
      return await fail(reply, 413, `Without a token, a query can have at most ${MAX_CREDENTIAL_BODY} bytes`)
    inviteBody(context)
    return undefined
  })
  app.route({ method: ['GET', 'POST'], url: PATH, handler: answer })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error instanceof ApiError) return fail(reply, error.status, wordsOf(error))
    if (isUnavailable(error)) return fail(reply.header('Retry-After', RETRY_AFTER_SECONDS), 503, error.message)
    const status = error.statusCode ?? 500
    if (status < 500) return fail(reply, status, 'Invalid request')
    options.onError(error)
    return fail(reply, 500, 'Internal server error')
  })
  app.setNotFoundHandler((_request, reply) => reply.status(404).send({ error: '404 Not Found' }))

  await app.ready()
  return handlerOf(app, contexts)
}

type GraphqlRequest = {
  query: string
  variables: Record<string, unknown> | undefined
  operationName: string | undefined
}

/** The parameters of a request, from its body or its query. @throws ApiError if they have other types */
function parametersOf({ body, query }: FastifyRequest): GraphqlRequest {
  const given = { ...(query as object), ...(typeof body === 'object' ? body : {}) } as Record<string, unknown>
  const { query: text, variables = null, operationName = null } = given
  const values = typeof variables === 'string' ? jsonOf(variables) : variables
  const isRight = typeof text === 'string' && typeof values === 'object' && !Array.isArray(values)
  if (!isRight || (operationName !== null && typeof operationName !== 'string')) {
    throw new ApiError(422, { message: 'Unexpected parameters' })
  }
  return {
    query: text,
    variables: values === null ? undefined : (values as Record<string, unknown>),
    operationName: operationName ?? undefined,
  }
}

function jsonOf(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return undefined
  }
}

function parsed(query: string): DocumentNode | GraphQLError {
  try {
    return parse(query, { maxTokens: 5_000 })
  } catch (error) {
    if (error instanceof GraphQLError) return error
    // The parser recurses for each bracket.
    if (error instanceof RangeError) return new GraphQLError('Query is nested too deeply')
    throw error
  }
}

function isMutation({ definitions }: DocumentNode): boolean {
  return definitions.some(
    (definition) =>
      definition.kind === Kind.OPERATION_DEFINITION && definition.operation === OperationTypeNode.MUTATION,
  )
}

/** GitLab's error for callers that can't use the API. */
function wordsOf({ status, message, body }: ApiError): string {
  if (status === 401) return 'Invalid token'
  if (status === 403) return 'API not accessible for user'
  return typeof body['message'] === 'string' ? body['message'] : message
}

function fail(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.status(status).send({ errors: [{ message }] })
}
