import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { TOKENS_PAGE } from '../../domain/access/refusal.js'
import type { TokenQuery } from '../../domain/tokens/query.js'
import { TOKEN_SORTS } from '../../domain/tokens/query.js'
import type { PageOptions } from '../web-options.js'
import { SearchedList, pagerOf, windowOf } from '../pager.js'
import type { Pages } from '../pages.js'
import { requireSwitchedOn } from '../tokens/own-token.js'
import { NEW_TOKEN, takeNewToken } from '../tokens/one-time-token.js'
import { EXPIRING_MS, tokenRows } from '../tokens/rows.js'
import { addTokenCreation } from '../tokens/token-creation.js'
import { memberOf } from '../principal.js'

const PER_PAGE = 100
const STATES = ['active', 'expiring', 'inactive', 'all'] as const
/** Parameters that fill in the form, which is on this page on GitLab. */
const PREFILL = ['name', 'description', 'scopes'] as const

/** The user's own tokens: the list, which shows the secret of a new one once, and creating one. */
export function tokenPages(pages: Pages, options: PageOptions): void {
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

  pages.get(
    TOKENS_PAGE,
    { schema: { querystring: Query }, preHandler: requireSwitchedOn(options) },
    async (request, reply) => {
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
        made: await takeNewToken(member, NEW_TOKEN, member.account, options),
      })
    },
  )
  const creation = {
    route: TOKENS_PAGE,
    impersonation: false,
    ownerOf: async (request: FastifyRequest) => Promise.resolve(memberOf(request).account),
    listOf: () => TOKENS_PAGE,
    displayOf: () => NEW_TOKEN,
    view: 'token-new',
    preHandler: requireSwitchedOn(options),
  }
  addTokenCreation(pages, creation, options)
}
