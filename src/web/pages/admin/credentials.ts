import { Type } from 'typebox'
import { adviseOn } from '../../../access/advise.js'
import type { Account } from '../../../accounts/account.js'
import { DAY } from '../../../clock.js'
import type { Advice } from '../../../policies/advice.js'
import { ADVICE_DAYS } from '../../../policies/advice.js'
import type { TokenQuery } from '../../../tokens/query.js'
import type { PersonalAccessToken } from '../../../tokens/token.js'
import { PageError } from '../../errors.js'
import { say } from '../../memo.js'
import type { PageOptions } from '../../options.js'
import type { PageWindow } from '../../pager.js'
import { pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { FilterText, SearchedList } from '../../queries.js'
import { recentUse } from '../../tokens/recent-use.js'
import { EXPIRING, tokenRow } from '../../tokens/rows.js'
import { memberOf } from '../../visitor.js'
import { factsOf } from './token-facts.js'

const PATH = '/-/admin/credentials'
// Each row asks the audit trail what its token was used for.
const PER_PAGE = 20

/** Everybody's tokens: what they may, whether they are used so, and ending them. */
export function credentialPages(pages: Pages, options: PageOptions): void {
  const { tokens, accounts, access, audit, listRepositories } = options

  const Query = Type.Object({
    ...SearchedList,
    user: FilterText,
    state: Type.Optional(Type.Enum(['active', 'inactive', 'all'])),
    kind: Type.Optional(Type.Enum(['', 'personal', 'impersonation', 'derived'])),
    show: Type.Optional(Type.Enum(['', 'unused', 'never_expires', 'expiring'])),
  })
  type Filters = ReturnType<typeof filtersOf>
  const filtersOf = (query: Type.Static<typeof Query>) => ({
    search: query.search?.trim() ?? '',
    user: query.user?.trim() ?? '',
    state: query.state ?? 'active',
    kind: query.kind ?? '',
    show: query.show ?? '',
  })

  const search = async (filters: Filters, window: PageWindow) => {
    const owner = filters.user === '' ? undefined : await accounts.findByUsername(filters.user)
    if (filters.user !== '' && owner === undefined) return { tokens: [], total: 0 }
    const { enforce_pat_expiration: enforceExpiry } = await access.settings()
    const now = access.now()
    const query: TokenQuery = {
      ...window,
      ...(owner === undefined ? {} : { userId: owner.id }),
      ...(filters.search === '' ? {} : { search: filters.search }),
      ...(filters.state === 'all' ? {} : { state: filters.state }),
      ...KINDS[filters.kind],
      ...shownOnly(filters.show, now),
    }
    return await tokens.search(query, now, enforceExpiry)
  }

  const rowsOf = async (found: readonly PersonalAccessToken[]) => {
    const [now, { enforce_pat_expiration: enforceExpiry }] = [access.now(), await access.settings()]
    const knownSince = (await audit.begin()) ?? now
    const repositories = listRepositories()
    const owners = new Map<number, Account | undefined>()
    for (const { userId } of found) if (!owners.has(userId)) owners.set(userId, await accounts.find(userId))
    const rows = []
    for (const token of found) {
      const owner = owners.get(token.userId)
      // It was deleted a moment ago, and its tokens with it.
      if (owner === undefined) continue
      const reach = await access.reachOf(owner, token)
      const sources = { tokens, audit, repositories: reach.ownsGroup ? repositories : undefined, knownSince }
      const advice = await adviseOn(token, reach.roleOn, sources, now)
      rows.push({ ...tokenRow(token, now, enforceExpiry), owner: owner.username, advice: advice.map(shownAdvice) })
    }
    return rows
  }

  pages.get('/credentials', { schema: { querystring: Query } }, async (request, reply) => {
    const filters = filtersOf(request.query)
    const window = windowOf(request.query, PER_PAGE)
    const found = await search(filters, window)
    return reply.page('admin/credentials', {
      tokens: await rowsOf(found.tokens),
      pager: pagerOf(window, found.total, request.url),
      filters,
      days: ADVICE_DAYS,
    })
  })

  const TokenPath = Type.Object({ id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) })
  pages.get('/credentials/:id/revoke', { schema: { params: TokenPath } }, async (request, reply) => {
    const token = await tokens.find(request.params.id)
    const owner = token && (await accounts.find(token.userId))
    if (token === undefined || owner === undefined) throw new PageError('not-found')
    return reply.page('admin/confirm', {
      place: 'tokens',
      heading: `Revoke the token “${token.name}”?`,
      lead: 'For good, from the next request on; transfers that are running with it are cut off, and tokens that were derived from it end with it. Its owner is told.',
      facts: factsOf(token, owner.username),
      action: `${PATH}/${token.id}/revoke`,
      hidden: [],
      button: 'Revoke the token',
      cancel: PATH,
      token,
      use: await recentUse(token, options),
    })
  })

  pages.post('/credentials/:id/revoke', { schema: { params: TokenPath } }, async (request, reply) => {
    const member = memberOf(request)
    const token = await tokens.find(request.params.id)
    if (token === undefined) throw new PageError('not-found')
    const wasRevoked = !(await member.stores.tokens.revoke(token.id, access.now()))
    await say(member, `Token ${token.id}, “${token.name}”, ${wasRevoked ? 'was revoked before' : 'is revoked'}.`)
    return reply.redirect(PATH, 303)
  })
}

const KINDS = {
  '': {},
  personal: { impersonation: false, derived: false },
  impersonation: { impersonation: true },
  derived: { derived: true },
} as const

function shownOnly(show: '' | 'unused' | 'never_expires' | 'expiring', now: Date): Partial<TokenQuery> {
  switch (show) {
    case '':
      return {}
    case 'unused':
      return { unusedSince: new Date(now.getTime() - ADVICE_DAYS * DAY) }
    case 'never_expires':
      return { neverExpires: true }
    case 'expiring':
      return { expiresAfter: now, expiresBefore: new Date(now.getTime() + EXPIRING) }
  }
}

function shownAdvice(advice: Advice): { readonly tone: 'bad' | 'warn' | ''; readonly text: string } {
  switch (advice.kind) {
    case 'never-expires':
      return { tone: 'bad', text: 'never expires' }
    case 'unused':
      return { tone: 'warn', text: `unused for ${advice.days} ${advice.days === 1 ? 'day' : 'days'}` }
    case 'wider-than-used':
      return {
        tone: 'warn',
        text: `wider than used: may ${advice.may} ${advice.reach} repositories, used ${advice.used}`,
      }
    case 'never-writes':
      return { tone: '', text: 'may write, pushed nothing' }
  }
}
