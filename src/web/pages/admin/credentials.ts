import { Type } from 'typebox'
import { adviseOn, widerThanUsed } from '../../../domain/access/advise.js'
import type { Account } from '../../../domain/accounts/account.js'
import { DAY } from '../../../core/clock.js'
import type { Advice } from '../../../domain/policies/advice.js'
import { ADVICE_DAYS } from '../../../domain/policies/advice.js'
import type { TokenQuery } from '../../../domain/tokens/query.js'
import type { PersonalAccessToken } from '../../../domain/tokens/token.js'
import { PageError } from '../../page-errors.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import type { PageWindow } from '../../pager.js'
import { FilterText, SearchedList, pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { recentUse } from '../../tokens/recent-use.js'
import { EXPIRING_MS, tokenRows } from '../../tokens/rows.js'
import { memberOf } from '../../principal.js'
import { factsOf } from './token-facts.js'

const PATH = '/-/admin/credentials'
// Each row reads the use of its token from the audit log.
const PER_PAGE = 20
const OVER_PRIVILEGED_CACHE_MS = 10_000

/** The tokens of all accounts: what they can do, whether that is used, and revoking them. */
export function credentialPages(pages: Pages, options: PageOptions): void {
  const { tokens, accounts, access, audit, grants, listRepositories } = options

  const Query = Type.Object({
    ...SearchedList,
    user: FilterText,
    state: Type.Optional(Type.Enum(['active', 'inactive', 'all'])),
    kind: Type.Optional(Type.Enum(['', 'personal', 'impersonation', 'derived'])),
    show: Type.Optional(Type.Enum(['', 'unused', 'never_expires', 'expiring', 'wider'])),
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
    const query = {
      ...(owner === undefined ? {} : { userId: owner.id }),
      ...(filters.search === '' ? {} : { search: filters.search }),
      ...(filters.state === 'all' ? {} : { state: filters.state }),
      ...KINDS[filters.kind],
      ...shownOnly(filters.show, now),
    }
    if (filters.show !== 'wider') return await tokens.search({ ...query, ...window }, now, enforceExpiry)
    const ids = await findWider(filters, query, enforceExpiry)
    const page = { ids: ids.slice(window.offset, window.offset + window.limit), offset: 0, limit: window.limit }
    return { ...(await tokens.search(page, now, enforceExpiry)), total: ids.length }
  }

  // The store can't answer this filter, since only the disk knows the repositories. It takes 0.1 s for 10,000 tokens, so the
  // result is kept while an administrator goes through its pages.
  let wider:
    { readonly key: string; readonly sets: unknown; readonly until: number; readonly ids: number[] } | undefined
  const findWider = async (filters: Filters, query: Omit<TokenQuery, 'offset' | 'limit'>, enforceExpiry: boolean) => {
    const [now, key] = [access.now(), JSON.stringify([filters, enforceExpiry])]
    const accessible = await access.accessibleRepositories(await listRepositories(), grants)
    if (wider?.key === key && wider.sets === accessible && wider.until > now.getTime()) return wider.ids
    const used = await tokens.listUsed(query, new Date(now.getTime() - ADVICE_DAYS * DAY), now, enforceExpiry)
    const nameOf = new Map((await accounts.list()).map(({ id, username }) => [id, username]))
    const ids = widerThanUsed(used, accessible, nameOf, (await audit.begin()) ?? now, now)
    wider = { key, sets: accessible, until: now.getTime() + OVER_PRIVILEGED_CACHE_MS, ids }
    return ids
  }

  const rowsOf = async (found: readonly PersonalAccessToken[], listsRepositories: boolean) => {
    const [now, settings] = [access.now(), await access.settings()]
    const knownSince = (await audit.begin()) ?? now
    const accessible = await access.accessibleRepositories(await listRepositories(), grants)
    const owners = new Map<number, Account | undefined>()
    for (const { userId } of found) if (!owners.has(userId)) owners.set(userId, await accounts.find(userId))
    const rows = []
    for (const token of tokenRows(found, now, settings)) {
      const owner = owners.get(token.userId)
      // The account and its tokens have just been deleted.
      if (owner === undefined) continue
      const count = listsRepositories ? accessible.count(owner.username, token.restrictions) : undefined
      const advice = await adviseOn(token, { audit, accessible: count, knownSince }, now)
      rows.push({ ...token, owner: owner.username, advice: advice.map(shownAdvice) })
    }
    return rows
  }

  pages.get('/credentials', { schema: { querystring: Query } }, async (request, reply) => {
    const filters = filtersOf(request.query)
    const { ownsGroup } = await access.accessOf(memberOf(request).account)
    const window = windowOf(request.query, PER_PAGE)
    const found = await search(filters, window)
    return reply.page('admin/credentials', {
      tokens: await rowsOf(found.tokens, ownsGroup),
      pager: pagerOf(window, found.total, request.url),
      filters,
      days: ADVICE_DAYS,
      // The repositories of an upstream aren't known.
      listsRepositories: ownsGroup,
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
      lead: 'It stops working immediately, with every token derived from it, and cuts off running transfers. Its owner is notified. This can’t be undone.',
      facts: factsOf(token, owner.username),
      action: `${PATH}/${token.id}/revoke`,
      hidden: [],
      button: 'Revoke token',
      cancel: PATH,
      token,
      use: await recentUse(token, options),
    })
  })

  pages.post('/credentials/:id/revoke', { schema: { params: TokenPath } }, async (request, reply) => {
    const member = memberOf(request)
    const token = await tokens.find(request.params.id)
    if (token === undefined) throw new PageError('not-found')
    const wasRevoked = !(await options.tokens.revoke(member.auditContext, token.id, access.now()))
    await flash(member, `Token ${token.id}, “${token.name}”, ${wasRevoked ? 'was already revoked' : 'was revoked'}.`)
    return reply.redirect(PATH, 303)
  })
}

const KINDS = {
  '': {},
  personal: { impersonation: false, derived: false },
  impersonation: { impersonation: true },
  derived: { derived: true },
} as const

function shownOnly(show: '' | 'unused' | 'never_expires' | 'expiring' | 'wider', now: Date): Partial<TokenQuery> {
  switch (show) {
    case '':
    case 'wider':
      return {}
    case 'unused':
      return { unusedSince: new Date(now.getTime() - ADVICE_DAYS * DAY) }
    case 'never_expires':
      return { neverExpires: true }
    case 'expiring':
      return { expiresAfter: now, expiresBefore: new Date(now.getTime() + EXPIRING_MS) }
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
        text: `over-privileged: can ${advice.may} ${advice.accessible} repositories, used ${advice.used}`,
      }
    case 'never-writes':
      return { tone: '', text: 'can push, but never did' }
  }
}
