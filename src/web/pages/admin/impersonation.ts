import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Account } from '../../../domain/accounts/account.js'
import type { PersonalAccessToken } from '../../../domain/tokens/token.js'
import { PageError } from '../../page-errors.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import { PagedList, pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { addTokenCreation } from '../../tokens/token-creation.js'
import { takeNewToken } from '../../tokens/one-time-token.js'
import { tokenRows } from '../../tokens/rows.js'
import { memberOf } from '../../principal.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'
import { factsOf } from './token-facts.js'

const PER_PAGE = 20

/** Impersonation tokens, with which administrators act as an account. The account doesn't see them. */
export function impersonationPages(pages: Pages, options: PageOptions): void {
  const { tokens, access } = options
  const params = NamedAccount
  const path = '/users/:username/impersonation_tokens'

  pages.get(path, { schema: { params, querystring: Type.Object(PagedList) } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const [now, settings] = [access.now(), await access.settings()]
    const window = windowOf(request.query, PER_PAGE)
    const query = { ...window, userId: account.id, impersonation: true }
    const found = await tokens.search(query, now, settings.enforce_pat_expiration)
    return reply.page('admin/impersonation-tokens', {
      account,
      path: tokensPath(account),
      created: await takeNewToken(memberOf(request), displayOf(account), account, options),
      tokens: tokenRows(found.tokens, now, settings),
      pager: pagerOf(window, found.total, request.url),
      isOff: !settings.impersonation_enabled,
    })
  })

  const creation = {
    route: path,
    params,
    impersonation: true,
    ownerOf: (request: FastifyRequest) => requireAccount(options, request.params as Type.Static<typeof NamedAccount>),
    listOf: tokensPath,
    displayOf,
    view: 'admin/new-impersonation-token',
  }
  addTokenCreation(pages, creation, options)

  const TokenPath = Type.Object({
    ...NamedAccount.properties,
    id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  })
  pages.get(`${path}/:id/revoke`, { schema: { params: TokenPath } }, async (request, reply) => {
    const { account, token } = await requireToken(request.params)
    return reply.page('admin/confirm', {
      place: 'accounts',
      heading: `Revoke the token “${token.name}”?`,
      lead: 'It stops working immediately and cuts off running transfers. This can’t be undone.',
      facts: factsOf(token, account.username),
      action: `${tokensPath(account)}/${token.id}/revoke`,
      hidden: [],
      button: 'Revoke token',
      cancel: tokensPath(account),
    })
  })

  pages.post(`${path}/:id/revoke`, { schema: { params: TokenPath } }, async (request, reply) => {
    const member = memberOf(request)
    const { account, token } = await requireToken(request.params)
    await options.tokens.revoke(member.auditContext, token.id, access.now())
    await flash(member, `Token ${token.id}, “${token.name}”, was revoked.`)
    return reply.redirect(tokensPath(account), 303)
  })

  const requireToken = async (params: Type.Static<typeof TokenPath>) => {
    const account = await requireAccount(options, params)
    const token: PersonalAccessToken | undefined = await tokens.find(params.id)
    // Tokens of other accounts, and the account's own, don't exist here.
    if (token?.userId !== account.id || !token.impersonation) throw new PageError('not-found')
    return { account, token }
  }
}

function tokensPath(account: Account): string {
  return `${pathOfAccount(account)}/impersonation_tokens`
}

function displayOf({ id }: Account): string {
  return `impersonation token of ${id}`
}
