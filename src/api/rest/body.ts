import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseForm } from './parameters.js'

/** Takes bodies as JSON and as forms, and nothing else. */
export async function readBodies(app: FastifyInstance): Promise<void> {
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Some clients say "JSON" beside no body at all, as with DELETE.
    if (body === '') done(null)
    else void parseJson(request, body, done)
  })
  await app.register(formbody, { parser: parseForm })
}

/** As in GitLab, what changes something takes its parameters from the query, the body or both; the body's count. */
export function mergeQuery(request: FastifyRequest): void {
  const { method, query, body = {} } = request
  if (method === 'GET' || method === 'HEAD' || typeof body !== 'object' || body === null || Array.isArray(body)) return
  request.body = { ...(query as object), ...body }
}
