import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { breaksRule } from '../../core/errors.js'
import { TOKENS_PAGE } from '../../domain/access/refusal.js'
import type { Account } from '../../domain/accounts/account.js'
import { issueRules } from '../../domain/policies/settings.js'
import { parseSpan } from '../../domain/tokens/expiry.js'
import { rotateToken } from '../../domain/tokens/issue.js'
import type { TokenQuery } from '../../domain/tokens/query.js'
import { TOKEN_SORTS } from '../../domain/tokens/query.js'
import { administers } from '../../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { requirePassword } from '../confirmation.js'
import { PageError, sentence } from '../page-errors.js'
import { SearchedList, pagerOf, windowOf } from '../pager.js'
import type { Pages } from '../pages.js'
import { memberOf } from '../principal.js'
import { flash, putOneTimeDisplay } from '../session-state.js'
import type { NewToken } from '../tokens/one-time-token.js'
import { NEW_TOKEN, takeNewToken } from '../tokens/one-time-token.js'
import { recentUse } from '../tokens/recent-use.js'
import { EXPIRING_MS, tokenRow, tokenRows } from '../tokens/rows.js'
import { addTokenCreation } from '../tokens/token-creation.js'
import type { ExpiryForm } from '../tokens/token-form.js'
import { ExpiryFields, expiryEffect, expiryView, wantedExpiry } from '../tokens/token-form.js'
import type { PageOptions } from '../web-options.js'

const PER_PAGE = 100
const STATES = ['active', 'expiring', 'inactive', 'all'] as const
/** Parameters that fill in the form, which is on this page on GitLab. */
const PREFILL = ['name', 'description', 'scopes'] as const
/** How long the old secret can keep working. */
const GRACES = ['', '1h', '24h', '7d', '30d'] as const

/** The ID of a token in a path. */
const TokenId = Type.Object({ id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) })

type RotationForm = ExpiryForm & { readonly grace: (typeof GRACES)[number] }

/** The user's own tokens: the list, creating, revoking and rotating one. All are 404 while tokens are turned off, as on GitLab. */
export function tokenPages(pages: Pages, options: PageOptions): void {
  const preHandler = async (): Promise<void> => {
    const { disable_personal_access_tokens: areOff } = await options.access.settings()
    if (areOff) throw new PageError('not-found')
  }
  addList(pages, options, preHandler)
  const creation = {
    route: TOKENS_PAGE,
    impersonation: false,
    ownerOf: async (request: FastifyRequest) => Promise.resolve(memberOf(request).account),
    listOf: () => TOKENS_PAGE,
    displayOf: () => NEW_TOKEN,
    view: 'token-new',
    preHandler,
  }
  addTokenCreation(pages, creation, options)
  addRevocation(pages, options, preHandler)
  addRotation(pages, options, preHandler)
}

type PreHandler = () => Promise<void>

/** The list, which shows the secret of a new token once. */
function addList(pages: Pages, options: PageOptions, preHandler: PreHandler): void {
  const { access, tokens } = options
  const Prefill = Type.Optional(Type.String({ maxLength: 1_000 }))
  const Query = Type.Object({
    ...SearchedList,
    state: Type.Enum([...STATES], { default: 'active' }),
    sort: Type.Enum([...TOKEN_SORTS], { default: 'expires_asc' }),
    name: Prefill,
    description: Prefill,
    scopes: Prefill,
  })

  pages.get(TOKENS_PAGE, { schema: { querystring: Query }, preHandler }, async (request, reply) => {
    const { state, sort, search = '', ...rest } = request.query
    const prefill = PREFILL.flatMap((name) =>
      rest[name] === undefined ? [] : [[name, rest[name]] as [string, string]],
    )
    if (prefill.length > 0) {
      return reply.redirect(`${TOKENS_PAGE}/new?${new URLSearchParams(prefill).toString()}`, 303)
    }
    const member = memberOf(request)
    const now = access.now()
    const settings = await access.settings()
    const window = windowOf(request.query, PER_PAGE)
    const text = search.trim()
    const query: TokenQuery = {
      userId: member.account.id,
      // Impersonation tokens are hidden from the account, as in the API.
      impersonation: false,
      ...(state === 'all' ? {} : { state: state === 'inactive' ? 'inactive' : 'active' }),
      ...(state === 'expiring' ? { expiresBefore: new Date(now.getTime() + EXPIRING_MS) } : {}),
      ...(text === '' ? {} : { text }),
      sort,
      offset: window.offset,
      limit: window.limit,
    }
    const found = await tokens.search(query, now, settings.enforce_pat_expiration)
    return reply.page('tokens', {
      rows: tokenRows(found.tokens, now, settings),
      pager: pagerOf(window, found.total, request.url),
      state,
      sort,
      search: text,
      isFiltered: text !== '' || state !== 'active' || window.page > 1,
      created: await takeNewToken(member, NEW_TOKEN, member.account, options),
    })
  })
}

/** Revoking a token, after a page that shows what has used it. */
function addRevocation(pages: Pages, options: PageOptions, preHandler: PreHandler): void {
  pages.get(`${TOKENS_PAGE}/:id/revoke`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const token = await requireOwnToken(request, request.params.id, options)
    const row = await rowOf(token, options)
    if (!row.canRevoke) return redirectInactive(reply, request, token.name)
    return reply.page('token-revoke', { token: row, use: await recentUse(token, options) })
  })

  pages.post(`${TOKENS_PAGE}/:id/revoke`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const member = memberOf(request)
    const { id, name } = await requireOwnToken(request, request.params.id, options)
    const wasActive = await options.tokens.revoke(member.auditContext, id, options.access.now())
    await flash(member, wasActive ? `${name} was revoked.` : `${name} was already revoked.`)
    return reply.redirect(TOKENS_PAGE, 303)
  })
}

/** Rotating a token, after a page that shows what has used it. */
function addRotation(pages: Pages, options: PageOptions, preHandler: PreHandler): void {
  const { access } = options
  const Rotation = Type.Object({
    ...ExpiryFields,
    grace: Type.Enum([...GRACES], { default: '' }),
    current_password: Type.String({ default: '', maxLength: 10_000 }),
  })
  const showRotation = async (
    reply: FastifyReply,
    token: PersonalAccessToken,
    owner: Account,
    form?: RotationForm,
    problems: { readonly expiry?: string; readonly current_password?: string } = {},
  ) => {
    const now = access.now()
    const rules = issueRules(await access.settings(), now)
    return reply.page(
      'token-rotate',
      {
        token: await rowOf(token, options),
        use: await recentUse(token, options),
        expiry: { ...expiryView(rules, now, form), ...(await expiryEffect(options, owner)) },
        graces: GRACES,
        grace: form?.grace ?? '',
        problems,
        asksPassword: administers(token.scopes, owner),
      },
      Object.keys(problems).length === 0 ? 200 : 422,
    )
  }

  pages.get(`${TOKENS_PAGE}/:id/rotate`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const token = await requireOwnToken(request, request.params.id, options)
    if (!(await rowOf(token, options)).canRotate) return redirectInactive(reply, request, token.name)
    return showRotation(reply, token, memberOf(request).account)
  })

  pages.post(
    `${TOKENS_PAGE}/:id/rotate`,
    { schema: { params: TokenId, body: Rotation }, preHandler },
    async (request, reply) => {
      const member = memberOf(request)
      const { body, params } = request
      const old = await requireOwnToken(request, params.id, options)
      const now = access.now()
      const rules = issueRules(await access.settings(), now)
      // The new secret of a token that administers is as powerful as a new token.
      const unconfirmed = administers(old.scopes, member.account) ? await requirePassword(request, options) : undefined
      if (unconfirmed !== undefined)
        return showRotation(reply, old, member.account, body, { current_password: unconfirmed })
      const grace = body.grace === '' ? 0 : parseSpan(body.grace)
      try {
        const expiry = wantedExpiry(body, rules, now)
        const { token, secret } = await rotateToken(
          options.tokens,
          member.auditContext,
          member.account,
          old,
          expiry,
          rules,
          now,
          grace,
        )
        const endsAt = Math.min(now.getTime() + grace, old.expiresAt?.getTime() ?? Infinity)
        const newToken: NewToken = { id: token.id, secret: secret.reveal(), replaced: { endsAt } }
        await putOneTimeDisplay(member, NEW_TOKEN, newToken, now)
      } catch (error) {
        if (!breaksRule(error)) throw error
        if (error.code === 'conflict') return redirectInactive(reply, request, old.name)
        return showRotation(reply, old, member.account, body, { expiry: sentence(error.message) })
      }
      return reply.redirect(TOKENS_PAGE, 303)
    },
  )
}

async function rowOf(token: PersonalAccessToken, { access }: PageOptions) {
  const { enforce_pat_expiration: enforceExpiry } = await access.settings()
  return tokenRow(token, access.now(), enforceExpiry)
}

async function redirectInactive(reply: FastifyReply, request: FastifyRequest, name: string) {
  await flash(memberOf(request), `${name} was already revoked or rotated, or has expired.`, 'bad')
  return reply.redirect(TOKENS_PAGE, 303)
}

/** A token of the signed-in user; not one of another account, nor an impersonation token. @throws PageError `not-found` */
async function requireOwnToken(
  request: FastifyRequest,
  id: number,
  { tokens }: PageOptions,
): Promise<PersonalAccessToken> {
  const token = await tokens.find(id)
  if (token?.userId !== memberOf(request).account.id || token.impersonation) throw new PageError('not-found')
  return token
}
