import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { hasTooManyParameters, MAX_PARAMETERS } from '../../core/http.js'
import { badParameter, badRequest } from './api-errors.js'
import { parseForm } from './parameters.js'

/** Accepts bodies as JSON and as forms only. */
export async function readBodies(app: FastifyInstance): Promise<void> {
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Some clients send `Content-Type: application/json` without a body, for example with DELETE.
    if (body === '') done(null)
    else void parseJson(request, body, done)
  })
  await app.register(formbody, { parser: parseBoundedForm })
}

function parseBoundedForm(text: string): Record<string, string | string[]> {
  if (hasTooManyParameters(text)) throw badRequest(`a form has ${MAX_PARAMETERS} parameters at most`)
  return parseForm(text)
}

/**
 * Refuses lists with more entries than a form may have, before they are validated: validation reports each wrong entry, which took
 * 0.2 s for a list of 130,000.
 *
 * @throws ApiError
 */
export function boundLists({ body }: FastifyRequest): void {
  if (typeof body !== 'object' || body === null) return
  for (const [name, value] of Object.entries(body))
    if (Array.isArray(value) && value.length > MAX_PARAMETERS) throw badParameter(name)
}

/** Like GitLab, merges parameters from the query and the body; the body's win. */
export function mergeQuery(request: FastifyRequest): void {
  const { method, query, body = {} } = request
  if (method === 'GET' || method === 'HEAD' || typeof body !== 'object' || body === null || Array.isArray(body)) return
  request.body = { ...(query as object), ...body }
}

const FLAG_WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 'on', 't', 'true', 'y', 'yes'].map((word) => [word, true] as const),
  ...['0', 'off', 'f', 'false', 'n', 'no'].map((word) => [word, false] as const),
])

/** Parses booleans as GitLab does: some clients send `True` or `1`. */
export function readFlags({ query, body, routeOptions }: FastifyRequest): void {
  const { querystring, body: bodySchema } = routeOptions.schema ?? {}
  for (const [given, schema] of [
    [query, querystring],
    [body, bodySchema],
  ] as [unknown, Described | undefined][]) {
    if (typeof given !== 'object' || given === null) continue
    const values = given as Record<string, unknown>
    for (const [name, { type }] of Object.entries(schema?.properties ?? {})) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (type === 'boolean' && typeof value === 'string') values[name] = FLAG_WORDS.get(value.toLowerCase()) ?? value
    }
  }
}

type Described = { readonly properties?: Readonly<Record<string, { readonly type?: unknown }>> }
