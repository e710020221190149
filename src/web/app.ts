import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { ParsedUrlQuery } from 'node:querystring'
import { parse } from 'node:querystring'
import type { Handler, RequestContext } from '../core/http.js'
import { hasTooManyParameters } from '../core/http.js'
import { parseRepositoryPath } from '../protocol/repository-path.js'
import { handlerOf, inviteBody } from '../server/fastify-bridge.js'
import { Assets } from './assets.js'
import { Cookies, isCsrfToken } from './cookies.js'
import { answerError, PageError } from './page-errors.js'
import type { WebOptions } from './web-options.js'
import type { Audience } from './pages.js'
import { passwordPages } from './pages/password-page.js'
import { ADMIN, adminPages } from './pages/admin/admin-pages.js'
import { repositoryPages } from './pages/repositories.js'
import { sessionPages } from './pages/sessions.js'
import { signInPages } from './pages/sign-in-page.js'
import { tokenPages } from './pages/tokens.js'
import { twoFactorPages } from './pages/two-factor-page.js'
import { Views } from './views.js'
import { identifyPrincipal } from './principal.js'

const MAX_BODY_BYTES = 65_536
const SIGN_IN = '/users/sign_in'
const SIGN_OUT = '/users/sign_out'
const ENROL = '/-/user_settings/two_factor_auth'

/**
 * The headers of every page. Nothing is loaded from other sites, nothing inline runs, no other site can frame a page or learn
 * its URL, and forms go to this site only.
 */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'Cache-Control': 'no-store',
  Vary: 'Accept',
}

/** The handler of the pages. */
export async function webPages(options: WebOptions): Promise<Handler> {
  const contexts = new WeakMap<IncomingMessage, RequestContext>()
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1_000 },
    ajv: { customOptions: { allErrors: true, coerceTypes: 'array', removeAdditional: false } },
    // No route has a path that can't be decoded.
    frameworkErrors: (_error, _request, reply: FastifyReply) =>
      void reply.headers(SECURITY_HEADERS).status(404).type('text/plain').send('Not Found'),
  }).withTypeProvider<TypeBoxTypeProvider>()
  const routes = new RouteTable(app)
  app.removeAllContentTypeParsers()
  await app.register(formbody, { parser: parseForm })
  await app.register(cookie)
  const assets = new Assets()
  const cookies = new Cookies(options.baseUrl)
  const views = new Views(assets, cookies, options)

  app.decorateRequest('context')
  app.decorateRequest('principal')
  app.decorateReply('page', function (this: FastifyReply, view: string, data: object = {}, status = 200) {
    return views.send(this, view, data, status)
  })
  app.addHook('onRequest', async (request, reply) => {
    const context = contexts.get(request.raw)
    if (context === undefined) throw new TypeError('a request bypassed the gate')
    request.context = context
    context.record.route = request.routeOptions.url ?? ''
    reply.headers({ ...SECURITY_HEADERS, ...strictTransport(context, options) })
    request.principal = { kind: 'anonymous' }
    request.principal = await identifyPrincipal(request, cookies, options)
    // Now the body may be read. Routes that are open to anonymous requests have a low limit.
    if (request.is404) return await answerNotFound(request, reply)
    const target = redirectFor(request, routes, options.access.now())
    if (target !== undefined) return reply.redirect(target, 303)
    inviteBody(context)
    return undefined
  })
  app.addHook('preValidation', async (request, reply) => {
    if (['GET', 'HEAD'].includes(request.method)) return undefined
    // A client can hold its form back. The session may have ended since, or a second factor is required.
    request.principal = await identifyPrincipal(request, cookies, options)
    const elsewhere = redirectFor(request, routes, options.access.now())
    if (elsewhere !== undefined) return reply.redirect(elsewhere, 303)
    const secret = cookies.behind(request)
    const token = (request.body as { csrf_token?: unknown } | undefined)?.csrf_token
    if (isSameOrigin(request) && secret !== undefined && isCsrfToken(secret, token)) return undefined
    const target = isSameOrigin(request) ? redirectAfterSessionChange(request) : undefined
    if (target === undefined) throw new PageError('form-not-ours')
    return reply.redirect(target, 303)
  })
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options))
  const answerNotFound = ({ url, method, principal }: FastifyRequest, reply: FastifyReply) => {
    // A rejected form leaves its address in the browser, and reloading it requests that by GET: redirect to the form's page.
    const path = url.split('?', 1)[0] ?? url
    const isHidden = path.startsWith(`${ADMIN}/`) && !(principal.kind === 'member' && principal.account.admin)
    if (method === 'GET' && !isHidden && routes.has('POST', path)) return reply.redirect(routes.pageAbove(path), 303)
    // People open clone URLs in a browser, too. The page doesn't reveal whether the repository exists.
    const isForGit = url.endsWith('.git') && parseRepositoryPath(url.slice(1, -'.git'.length)) !== undefined
    const clone = isForGit ? `${options.baseUrl()}${url}` : undefined
    return reply.page('error', { what: 'not-found', clone }, 404)
  }
  app.setNotFoundHandler(answerNotFound)

  const pages = app.withTypeProvider<TypeBoxTypeProvider>()
  assets.serve(pages)
  const ownPages = [signInPages, passwordPages, twoFactorPages, sessionPages, tokenPages]
  for (const add of [repositoryPages, ...ownPages, adminPages]) add(pages, { ...options, cookies })
  await app.ready()
  return handlerOf(app, contexts)
}

/** @throws PageError for more parameters than any form has */
function parseForm(text: string): ParsedUrlQuery {
  if (hasTooManyParameters(text)) throw new PageError('unreadable')
  return parse(text)
}

/** Where to redirect a principal who may not open the page; `undefined` if they may. @throws PageError */
function redirectFor(request: FastifyRequest, routes: RouteTable, now: Date): string | undefined {
  const { principal, method, url } = request
  const audience: Audience = request.routeOptions.config.audience ?? 'members'
  if (audience === 'anyone') return undefined
  if (principal.kind !== 'member') {
    // After signing in, users get the page that they wanted, but not the sign-out page.
    if (url === '/' || url.startsWith('/users/')) return SIGN_IN
    if (method === 'GET') return `${SIGN_IN}?${new URLSearchParams({ return_to: url }).toString()}`
    // The submitted form is lost; the page with the form is where the user goes after signing in.
    const path = url.split('?', 1)[0] ?? url
    const page = routes.has('GET', path) ? path : routes.pageAbove(path)
    return `${SIGN_IN}?${new URLSearchParams({ from: 'ended', return_to: page }).toString()}`
  }
  const { twoFactorDeadline } = principal
  if (audience === 'enrolling') return undefined
  if (twoFactorDeadline !== undefined && twoFactorDeadline <= now) return ENROL
  if (audience === 'administrators' && !principal.account.admin) throw new PageError('not-found')
  return undefined
}

/** Where to redirect a user who has signed in or out in another window, so that this window's form is no longer valid. */
function redirectAfterSessionChange({ principal, url }: FastifyRequest): string | undefined {
  if (url === SIGN_IN && principal.kind === 'member') return '/'
  return url === SIGN_OUT && principal.kind === 'anonymous' ? SIGN_IN : undefined
}

// Browsers say which site sends a request (Fetch Metadata). A second line of defence behind SameSite cookies.
function isSameOrigin({ headers }: FastifyRequest): boolean {
  return ['same-origin', 'none', undefined].includes(headers['sec-fetch-site'])
}

// Half a year, for this host only: other hosts of the domain are not the gate's business (RFC 6797, 6.1).
const STRICT_TRANSPORT = { 'Strict-Transport-Security': `max-age=${180 * 86_400}` }

/**
 * The header that makes a browser use HTTPS only. Not over plain HTTP (RFC 6797, 7.2), and not while the public URL is plain HTTP.
 */
function strictTransport(
  { isHttps }: Pick<RequestContext, 'isHttps'>,
  { hsts, baseUrl }: Pick<WebOptions, 'hsts' | 'baseUrl'>,
): Readonly<Record<string, string>> {
  return hsts && isHttps && baseUrl().startsWith('https:') ? STRICT_TRANSPORT : {}
}

/** The routes of an application, to redirect a GET of an address that only takes forms. */
class RouteTable {
  readonly #patterns = new Map<string, RegExp[]>()

  /** Records the routes that are added to an application from now on. */
  constructor(app: FastifyInstance) {
    app.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) {
        const known = this.#patterns.get(one) ?? []
        known.push(patternOf(url))
        this.#patterns.set(one, known)
      }
    })
  }

  has(method: string, path: string): boolean {
    return this.#patterns.get(method)?.some((pattern) => pattern.test(path)) === true
  }

  /** The nearest page above a path. */
  pageAbove(path: string): string {
    const above = path.slice(0, path.lastIndexOf('/'))
    return above === '' || this.has('GET', above) ? above || '/' : this.pageAbove(above)
  }
}

/** A parameter matches one segment of a path. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[^\w-]/g, '\\$&')))
  return new RegExp(`^${parts.join('/')}$`)
}
