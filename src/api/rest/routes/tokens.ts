import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Account } from '../../../accounts/account.js'
import { issueRules } from '../../../policies/issue-rules.js'
import { GitgateError } from '../../../errors.js'
import { deriveToken } from '../../../tokens/derive.js'
import { tokenEntity } from '../../../tokens/entity.js'
import type { IssuedToken } from '../../../tokens/issue.js'
import { rotateToken } from '../../../tokens/issue.js'
import type { TokenQuery } from '../../../tokens/query.js'
import { TOKEN_SORTS } from '../../../tokens/query.js'
import type { PersonalAccessToken } from '../../../tokens/token.js'
import { DAY } from '../../../clock.js'
import type { Api } from '../app.js'
import { badRequest, notFound, unauthorized, unprocessable } from '../errors.js'
import { issue, Limits, limitsOf, NewToken, wantedExpiry } from '../new-token.js'
import type { ApiOptions } from '../options.js'
import { describePage, windowOf } from '../pagination.js'
import { Id, Instant, Name, NullableDate, Page, parseInstant } from '../parameters.js'
import { visibleProjects } from '../visible-projects.js'

/** Personal access tokens (GitLab's API: personal access tokens). */
export function tokenRoutes(api: Api, options: ApiOptions): void {
  const { tokens, accounts, access, baseUrl } = options
  const params = Type.Object({ id: Id })
  const Expiry = Type.Optional(Type.Object({ expires_at: Type.Optional(NullableDate) }))
  const anyScope = { needs: { scopes: 'any' as const } }

  const entityOf = async (token: PersonalAccessToken) =>
    tokenEntity(token, access.now(), (await access.settings()).enforce_pat_expiration)
  const withSecret = async ({ token, secret }: IssuedToken) => ({ ...(await entityOf(token)), token: secret.reveal() })

  /** A token that the caller may see. @throws ApiError as GitLab: to others a token does not exist */
  const requireVisible = async ({ caller }: FastifyRequest, id: number): Promise<PersonalAccessToken> => {
    const token = await tokens.find(id)
    const isOwn = token?.userId === caller.account.id && !token.impersonation
    if (token !== undefined && (caller.account.admin || isOwn)) return token
    throw caller.account.admin ? notFound() : unauthorized()
  }

  const rotate = async (old: PersonalAccessToken, body: { expires_at?: string | null } | undefined) => {
    const owner = await requireOwner(options, old)
    const now = access.now()
    try {
      return await rotateToken(
        tokens,
        owner,
        old,
        wantedExpiry(body?.expires_at),
        issueRules(await access.settings(), now),
        now,
      )
    } catch (error) {
      if (!(error instanceof GitgateError)) throw error
      throw badRequest(error.code === 'conflict' ? 'Token already revoked' : error.message)
    }
  }

  api.get(
    '/personal_access_tokens',
    {
      schema: {
        summary: "list the caller's tokens; administrators: everybody's",
        querystring: Type.Object({
          ...Page,
          user_id: Type.Optional(Type.Union([Type.Integer(), Type.Literal('')])),
          state: Type.Optional(Type.Enum(['active', 'inactive'])),
          revoked: Type.Optional(Type.Boolean()),
          search: Type.Optional(Name),
          created_after: Type.Optional(Instant),
          created_before: Type.Optional(Instant),
          last_used_after: Type.Optional(Instant),
          last_used_before: Type.Optional(Instant),
          expires_after: Type.Optional(Instant),
          expires_before: Type.Optional(Instant),
          sort: Type.Optional(Type.Enum([...TOKEN_SORTS])),
        }),
      },
    },
    async (request, reply) => {
      const { account } = request.caller
      const { user_id: wanted, ...filter } = request.query
      if (!account.admin && wanted !== undefined && wanted !== account.id) throw unauthorized()
      if (wanted === '' || (wanted !== undefined && (await accounts.find(wanted)) === undefined)) throw notFound()
      const window = windowOf(request.query)
      const bounds = {
        createdAfter: parseInstant('created_after', filter.created_after),
        createdBefore: parseInstant('created_before', filter.created_before),
        lastUsedAfter: parseInstant('last_used_after', filter.last_used_after),
        lastUsedBefore: parseInstant('last_used_before', filter.last_used_before),
        expiresAfter: parseInstant('expires_after', filter.expires_after),
        expiresBefore: parseInstant('expires_before', filter.expires_before),
      }
      const query = defined({
        ...bounds,
        userId: account.admin ? wanted : account.id,
        // Made by administrators to act as the account; hidden from it.
        impersonation: account.admin ? undefined : false,
        state: filter.state,
        revoked: filter.revoked,
        search: filter.search === '' ? undefined : filter.search,
        sort: filter.sort,
        offset: window.offset,
        limit: window.perPage,
      }) as TokenQuery
      const { enforce_pat_expiration: enforceExpiry } = await access.settings()
      const page = await tokens.search(query, access.now(), enforceExpiry)
      describePage(page.total, window, request, reply, baseUrl())
      return page.tokens.map((token) => tokenEntity(token, access.now(), enforceExpiry))
    },
  )

  api.get('/personal_access_tokens/self', { schema: { summary: 'the presented token' }, config: anyScope }, (request) =>
    entityOf(request.caller.token),
  )

  api.get(
    '/personal_access_tokens/self/associations',
    {
      schema: {
        summary: 'what the presented token reaches',
        querystring: Type.Object({ ...Page, min_access_level: Type.Optional(Type.Integer()) }),
      },
      config: anyScope,
    },
    async (request) => {
      const projects = await visibleProjects(options, request.caller, request.query.min_access_level)
      const { offset, perPage } = windowOf(request.query)
      return { groups: [], projects: projects.slice(offset, offset + perPage) }
    },
  )

  api.get('/personal_access_tokens/:id', { schema: { summary: 'one token', params } }, async (request) =>
    entityOf(await requireVisible(request, request.params.id)),
  )

  api.post(
    '/personal_access_tokens/self/rotate',
    { schema: { summary: 'replace the presented token; its old secret ends', body: Expiry } },
    async (request) => withSecret(await rotate(request.caller.token, request.body)),
  )

  api.post(
    '/personal_access_tokens/:id/rotate',
    { schema: { summary: 'replace a token; its old secret ends', params, body: Expiry } },
    async (request) => withSecret(await rotate(await requireVisible(request, request.params.id), request.body)),
  )

  api.delete(
    '/personal_access_tokens/self',
    { schema: { summary: 'revoke the presented token' }, config: { needs: { scopes: 'any', takesLimited: true } } },
    async (request, reply) => {
      await tokens.revoke(request.caller.token.id, access.now())
      return await reply.status(204).send()
    },
  )

  api.delete(
    '/personal_access_tokens/:id',
    { schema: { summary: 'revoke a token', params } },
    async (request, reply) => {
      const token = await tokens.find(request.params.id)
      if (token === undefined) throw notFound()
      const { account } = request.caller
      if (!account.admin && (token.userId !== account.id || token.impersonation)) throw badRequest()
      await tokens.revoke(token.id, access.now())
      return await reply.status(204).send()
    },
  )

  api.post(
    '/users/:id/personal_access_tokens',
    {
      schema: { summary: 'make a token for an account (administrators)', params, body: NewToken },
      config: { needs: { admin: true } },
    },
    async (request, reply) => {
      const owner = await accounts.find(request.params.id)
      if (owner === undefined) throw notFound('User')
      const issued = await issue(options, owner, request.body, false)
      return await reply.status(201).send(await withSecret(issued))
    },
  )

  api.post(
    '/user/personal_access_tokens',
    {
      schema: {
        summary: 'derive a narrower token from the presented one, with which it ends',
        body: Type.Object({
          name: Type.Optional(Name),
          description: Type.Optional(Type.Union([Name, Type.Null()])),
          expires_at: Type.Optional(NullableDate),
          scopes: Type.Array(Type.Enum(['read_repository', 'write_repository']), { maxItems: 50 }),
          ...Limits,
        }),
      },
      config: { needs: { takesLimited: true } },
    },
    async (request, reply) => {
      const { account, token } = request.caller
      const { body } = request
      const now = access.now()
      const expiry = wantedExpiry(body.expires_at)
      const wish = {
        name: body.name ?? token.name,
        scopes: body.scopes,
        // As GitLab: until tomorrow, unless a date is given.
        expiry: expiry instanceof Date ? expiry : new Date(Math.ceil((now.getTime() + DAY) / DAY) * DAY),
        description: body.description ?? null,
        ...limitsOf(body),
      }
      const issued = await deriveToken(tokens, account, token, wish, issueRules(await access.settings(), now), now)
      return await reply.status(201).send(await withSecret(issued))
    },
  )
}

async function requireOwner({ accounts }: ApiOptions, token: PersonalAccessToken): Promise<Account> {
  const owner = await accounts.find(token.userId)
  if (owner === undefined) throw unprocessable('the account of this token is gone')
  return owner
}

/** An object without what is not there. */
function defined(values: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
