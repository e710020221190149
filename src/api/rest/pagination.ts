import type { FastifyReply, FastifyRequest } from 'fastify'

/** The requested page of a list. */
export type Window = { readonly page: number; readonly perPage: number; readonly offset: number }

const MAX_PER_PAGE = 100
const MAX_PAGE = 1_000_000
/** Parameters that contain a token must not return in a link, which is logged and shown. */
const SECRET_PARAMETER = /^(private|access|bearer)_token\b/i

/** The page that a query requests; values out of range are clamped, as in GitLab. */
export function windowOf({ page = 1, per_page: perPage = 20 }: { page?: number; per_page?: number }): Window {
  const bounded = Math.min(Math.max(page, 1), MAX_PAGE)
  const size = Math.min(Math.max(perPage, 1), MAX_PER_PAGE)
  return { page: bounded, perPage: size, offset: (bounded - 1) * size }
}

/** Returns one page of a complete list, and sets the headers. */
export function paginate<T>(
  list: readonly T[],
  window: Window,
  request: FastifyRequest,
  reply: FastifyReply,
  baseUrl: string,
): readonly T[] {
  describePage(list.length, window, request, reply, baseUrl)
  return list.slice(window.offset, window.offset + window.perPage)
}

/** Sets GitLab's pagination headers (GitLab's REST API: offset-based pagination). */
export function describePage(
  total: number,
  { page, perPage }: Window,
  request: FastifyRequest,
  reply: FastifyReply,
  baseUrl: string,
): void {
  const pages = Math.max(Math.ceil(total / perPage), 1)
  const next = page < pages ? page + 1 : undefined
  const previous = page > 1 ? page - 1 : undefined
  const [path = ''] = request.url.split('?', 1)
  const query = request.url.slice(path.length + 1)
  const link = (to: number, rel: string): string => {
    const parameters = new URLSearchParams(query)
    for (const name of new Set(parameters.keys())) if (SECRET_PARAMETER.test(name)) parameters.delete(name)
    parameters.set('page', String(to))
    parameters.set('per_page', String(perPage))
    return `<${baseUrl}${path}?${parameters.toString()}>; rel="${rel}"`
  }
  const links = [
    ...(previous === undefined ? [] : [link(previous, 'prev')]),
    ...(next === undefined ? [] : [link(next, 'next')]),
    link(1, 'first'),
    link(pages, 'last'),
  ]
  reply.headers({
    Link: links.join(', '),
    'X-Total': String(total),
    'X-Total-Pages': String(pages),
    'X-Page': String(page),
    'X-Per-Page': String(perPage),
    'X-Next-Page': next === undefined ? '' : String(next),
    'X-Prev-Page': previous === undefined ? '' : String(previous),
  })
}
