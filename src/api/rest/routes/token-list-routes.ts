import { Type } from 'typebox'
import { tokenEntity } from '../../../domain/tokens/token.js'
import type { TokenQuery } from '../../../domain/tokens/query.js'
import { TOKEN_SORTS } from '../../../domain/tokens/query.js'
import { TokenAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { notFound, unauthorized } from '../api-errors.js'
import { answers, listOf } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { describePage, windowOf } from '../pagination.js'
import { Instant, Page, parseInstant } from '../parameters.js'

/** The list of tokens, with filters and orders. */
export function tokenListRoutes(api: Api, options: ApiOptions): void {
  const { tokens, accounts, access, baseUrl } = options

  api.get(
    '/personal_access_tokens',
    {
      schema: {
        summary: "list the caller's tokens; administrators: everybody's",
        tags: ['tokens'],
        response: answers(listOf(TokenAnswer)),
        querystring: Type.Object({
          ...Page,
          user_id: Type.Optional(
            Type.Union([Type.Integer(), Type.Literal('')], { description: 'whose; for administrators' }),
          ),
          state: Type.Optional(Type.Enum(['active', 'inactive'], { description: 'inactive: revoked or expired' })),
          revoked: Type.Optional(Type.Boolean({ description: 'only those that are revoked, or are not' })),
          search: Type.Optional(Type.String({ maxLength: 1_000, description: 'a part of the name' })),
          created_after: Type.Optional(Instant),
          created_before: Type.Optional(Instant),
          last_used_after: Type.Optional(Instant),
          last_used_before: Type.Optional(Instant),
          expires_after: Type.Optional(Instant),
          expires_before: Type.Optional(Instant),
          sort: Type.Optional(Type.Enum([...TOKEN_SORTS], { description: 'created_desc by default' })),
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
        // Created by administrators to act as the account, and hidden from it.
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
}

/** An object without its undefined fields. */
function defined(values: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
