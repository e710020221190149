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
import { endTokenPages } from './pages/end-token.js'
import { passwordPages } from './pages/password-page.js'
import { ADMIN, adminPages } from './pages/admin/admin-pages.js'
import { repositoryPages } from './pages/repositories.js'
import { sessionPages } from './pages/sessions.js'
import { signInPages } from './pages/sign-in-page.js'
import { tokenPages } from './pages/tokens.js'
import { twoFactorPages } from './pages/two-factor-page.js'
import { Views } from './views.js'
import { identifyPrincipal } from './principal.js'

const MAX_BODY = 65_536
const SIGN_IN = '/users/sign_in'
const SIGN_OUT = '/users/sign_out'
const ENROL = '/-/user_settings/two_factor_auth'

/**
 * What every page is sent with. Nothing is loaded from elsewhere, no script or style stands in the page itself, no other
 * site can frame it or is told its address, and no form goes elsewhere.
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

/** The pages, as one of the gate's fronts. */
export async function webPages(options: WebOptions): Promise<Handler> {
  const contexts = new WeakMap<IncomingMessage, RequestContext>()
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1_000 },
    ajv: { customOptions: { allErrors: true, coerceTypes: 'array', removeAdditional: false } },
    // A path that can't be decoded is none of ours.
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
    // From here on the body may be read, and where nobody is signed in, a short one only: see the routes' limits.
    if (request.is404) return await answerNotFound(request, reply)
    const target = redirectFor(request, routes, options.access.now())
    if (target !== undefined) return reply.redirect(target, 303)
    inviteBody(context)
    return undefined
  })
  app.addHook('preValidation', (request, reply, done) => {
    if (['GET', 'HEAD'].includes(request.method)) {
      done()
      return
    }
    const secret = cookies.behind(request)
    const token = (request.body as { csrf_token?: unknown } | undefined)?.csrf_token
    if (isSameOrigin(request) && secret !== undefined && isCsrfToken(secret, token)) {
      done()
      return
    }
    const target = isSameOrigin(request) ? redirectAfterSessionChange(request) : undefined
    if (target === undefined) done(new PageError('form-not-ours'))
    else void reply.redirect(target, 303)
  })
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options))
  const answerNotFound = ({ url, method, principal: principal }: FastifyRequest, reply: FastifyReply) => {
    // A form that was not taken leaves its address in the browser, which opens it again later: it leads to the form's page.
    const path = url.split('?', 1)[0] ?? url
    const isHidden = path.startsWith(`${ADMIN}/`) && !(principal.kind === 'member' && principal.account.admin)
    if (method === 'GET' && !isHidden && routes.has('POST', path)) return reply.redirect(routes.pageAbove(path), 303)
    // What git is given, people open in a browser, too. It tells nothing about whether there is such a repository.
    const isForGit = url.endsWith('.git') && parseRepositoryPath(url.slice(1, -'.git'.length)) !== undefined
    const clone = isForGit ? `${options.baseUrl()}${url}` : undefined
    return reply.page('error', { what: 'not-found', clone }, 404)
  }
  app.setNotFoundHandler(answerNotFound)

  const pages = app.withTypeProvider<TypeBoxTypeProvider>()
  assets.serve(pages)
  const account = [signInPages, passwordPages, twoFactorPages, sessionPages]
  const ownTokens = [tokenPages, endTokenPages]
  for (const add of [repositoryPages, ...account, ...ownTokens, adminPages]) add(pages, { ...options, cookies })
  await app.ready()
  return handlerOf(app, contexts)
}

/** @throws PageError for more parameters than a form of ours can have */
function parseForm(text: string): ParsedUrlQuery {
  if (hasTooManyParameters(text)) throw new PageError('unreadable')
  return parse(text)
}

/** Where to send somebody who may not have the page; `undefined` where they may. @throws PageError */
function redirectFor(request: FastifyRequest, routes: RouteTable, now: Date): string | undefined {
  const { principal: principal, method, url } = request
  const audience: Audience = request.routeOptions.config.audience ?? 'members'
  if (audience === 'anyone') return undefined
  if (principal.kind !== 'member') {
    // Whoever signs in goes to where they wanted to; not to signing out.
    if (url === '/' || url.startsWith('/users/')) return SIGN_IN
    if (method === 'GET') return `${SIGN_IN}?${new URLSearchParams({ return_to: url }).toString()}`
    // What was sent is lost; the page that it was written on is not.
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

/** Where somebody wanted to be who has signed in or out in another window meanwhile, so that this one's form is none of theirs. */
function redirectAfterSessionChange({ principal: principal, url }: FastifyRequest): string | undefined {
  if (url === SIGN_IN && principal.kind === 'member') return '/'
  return url === SIGN_OUT && principal.kind === 'anonymous' ? SIGN_IN : undefined
}

// Browsers say where a request comes from (Fetch Metadata). Cookies are out of another site's reach already; this is in
// case they are not.
function isSameOrigin({ headers }: FastifyRequest): boolean {
  return ['same-origin', 'none', undefined].includes(headers['sec-fetch-site'])
}

// Half a year, for this host alone: what other hosts of the domain do is not ours to say (RFC 6797, 6.1).
const STRICT = { 'Strict-Transport-Security': `max-age=${180 * 86_400}` }

/**
 * What else a page is sent with over HTTPS: the browser comes by nothing else from then on. Never over plain HTTP (RFC 6797, 7.2),
 * and not while people are told an address without it.
 */
function strictTransport(
  { isHttps }: Pick<RequestContext, 'isHttps'>,
  { hsts, baseUrl }: Pick<WebOptions, 'hsts' | 'baseUrl'>,
): Readonly<Record<string, string>> {
  return hsts && isHttps && baseUrl().startsWith('https:') ? STRICT : {}
}

/** Which addresses there are, for those who come to one by hand that only forms are sent to. */
class RouteTable {
  readonly #patterns = new Map<string, RegExp[]>()

  /** Notes the routes that are added to an application from now on. */
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

  /** The nearest page above an address. */
  pageAbove(path: string): string {
    const above = path.slice(0, path.lastIndexOf('/'))
    return above === '' || this.has('GET', above) ? above || '/' : this.pageAbove(above)
  }
}

/** A parameter stands for a part of the path. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll(/[^\w-]/g, '\\$&')))
  return new RegExp(`^${parts.join('/')}$`)
}
