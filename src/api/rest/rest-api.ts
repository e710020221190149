import swagger from '@fastify/swagger'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { IncomingMessage } from 'node:http'
import { GitgateError, isUnavailable } from '../../core/errors.js'
import type { Handler, RequestContext } from '../../core/http.js'
import { handlerOf, inviteBody } from '../../server/fastify-bridge.js'
import { boundLists, mergeQuery, readBodies, readFlags } from './api-body.js'
import type { RouteNeeds } from './caller.js'
import { authorizeCaller, hasShortBody, identifyAfterBody, identifyToken, secretOf } from './caller.js'
import { ApiError, badRequest, notFound, unauthorized, unavailable, unprocessable } from './api-errors.js'
import { watchMethods } from './methods.js'
import { openApiOf } from './openapi.js'
import type { ApiOptions } from './api-options.js'
import { parseForm } from './parameters.js'
import { auditRoutes } from './routes/audit-routes.js'
import { impersonationRoutes } from './routes/impersonation-routes.js'
import { instanceRoutes } from './routes/instance-routes.js'
import { projectRoutes } from './routes/projects-routes.js'
import { rightsRoutes } from './routes/rights-routes.js'
import { tokenListRoutes } from './routes/token-list-routes.js'
import { tokenRoutes } from './routes/token-routes.js'
import { userRoutes } from './routes/user-routes.js'

const PREFIX = '/api/v4'
const JSON_TYPE = 'application/json'
const MAX_BODY = 262_144
const HEADERS = { 'X-Frame-Options': 'SAMEORIGIN', 'Cache-Control': 'max-age=0, private, must-revalidate' }
const UNKNOWN = { error: '404 Not Found' }

/** GitLab's REST API, as far as gitgate has its features. */
export async function restApi(options: ApiOptions): Promise<Handler> {
  const contexts = new WeakMap<IncomingMessage, RequestContext>()
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY,
    routerOptions: { querystringParser: parseForm, maxParamLength: 1_000 },
    // Reports all mistakes at once. Lists are bounded before they are validated.
    ajv: { customOptions: { allErrors: true, coerceTypes: 'array', removeAdditional: false } },
    // A path that can't be decoded, or is too long for a route.
    frameworkErrors: (_error, _request, reply: FastifyReply) =>
      void reply
        .headers({ ...HEADERS, 'Content-Type': JSON_TYPE })
        .status(404)
        .send(Buffer.from(JSON.stringify(UNKNOWN))),
  }).withTypeProvider<TypeBoxTypeProvider>()
  await readBodies(app)
  await app.register(swagger, openApiOf(options.version))
  // Response schemas only describe; they must not drop fields.
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  app.decorateRequest('caller')
  app.decorateRequest('identified')
  // Before the body is read, because parsing is work that only token holders get.
  app.addHook('preParsing', async (request, reply) => {
    if (request.is404) return await reply.status(404).send(UNKNOWN)
    const context = contexts.get(request.raw)
    if (context === undefined) throw unauthorized()
    context.record.route = request.routeOptions.url ?? ''
    if (secretOf(request) !== undefined || !hasShortBody(request))
      request.identified = await identifyToken(request, context, options)
    inviteBody(context)
    return undefined
  })
  app.addHook('preValidation', async (request) => {
    const context = contexts.get(request.raw)
    if (context === undefined) throw unauthorized()
    const identified = await identifyAfterBody(request, context, options)
    request.caller = await authorizeCaller(request, context, needsOf(request), identified, options)
    boundLists(request)
    mergeQuery(request)
    readFlags(request)
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.headers(HEADERS)
    // Like GitLab without a charset, which JSON doesn't need: python-gitlab compares the whole value.
    if (String(reply.getHeader('content-type')).startsWith(JSON_TYPE)) reply.header('Content-Type', JSON_TYPE)
    done()
  })
  app.setErrorHandler((error: FastifyError | ApiError | GitgateError, _request, reply) =>
    answerError(error, reply, options),
  )
  app.setNotFoundHandler((_request, reply) => reply.status(404).send(UNKNOWN))
  await app.register(
    (api, _options, done) => {
      const typed = api.withTypeProvider<TypeBoxTypeProvider>()
      const refuseOtherMethods = watchMethods(api)
      for (const add of [
        instanceRoutes,
        userRoutes,
        tokenListRoutes,
        tokenRoutes,
        impersonationRoutes,
        projectRoutes,
        rightsRoutes,
        auditRoutes,
      ])
        add(typed, options)
      typed.get('/openapi.json', { schema: { hide: true }, config: { needs: { scopes: 'any' } } }, () => app.swagger())
      refuseOtherMethods()
      done()
    },
    { prefix: PREFIX },
  )
  await app.ready()

  return handlerOf(app, contexts)
}

/** What a route requires of its caller; by default `api`, or `read_api` to read. */
function needsOf({ routeOptions, method }: FastifyRequest): RouteNeeds {
  const { scopes, admin = false, takesLimited = false } = routeOptions.config.needs ?? {}
  const isReading = method === 'GET' || method === 'HEAD'
  return { scopes: scopes ?? (isReading ? ['api', 'read_api'] : ['api']), admin, takesLimited }
}

function answerError(
  error: FastifyError | ApiError | GitgateError,
  reply: FastifyReply,
  options: ApiOptions,
): FastifyReply {
  const known = error instanceof ApiError ? error : apiErrorOf(error)
  if (known === undefined) {
    options.onError(error)
    return reply.status(500).send({ message: '500 Internal Server Error' })
  }
  return reply.status(known.status).headers(known.headers).send(known.body)
}

function apiErrorOf(error: FastifyError | GitgateError): ApiError | undefined {
  if (isUnavailable(error)) return unavailable(error)
  if (error instanceof GitgateError) {
    if (error.code === 'not-found') return notFound()
    return error.code === 'invalid' || error.code === 'forbidden' || error.code === 'conflict'
      ? unprocessable(error.message)
      : undefined
  }
  if (error.validation !== undefined) return new ApiError(400, { error: describeValidation(error) })
  const status = error.statusCode ?? 500
  if (status === 413) return new ApiError(413, { error: '413 Request Entity Too Large' })
  if (status === 415) return new ApiError(415, { error: 'The provided content-type is not supported.' })
  return status < 500 ? badRequest('the body can not be read') : undefined
}

/** Mistakes in parameters as GitLab words them, separated by commas. */
function describeValidation({ validation = [] }: FastifyError): string {
  const mistakes = validation.map(({ keyword, instancePath, params }) => {
    if (keyword === 'required') return `${String(params['missingProperty'])} is missing`
    const name = instancePath.split('/')[1] ?? 'body'
    return keyword === 'enum' ? `${name} does not have a valid value` : `${name} is invalid`
  })
  return [...new Set(mistakes)].join(', ')
}
