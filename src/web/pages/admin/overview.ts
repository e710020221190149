import { DAY } from '../../../core/clock.js'
import type { AuditRow } from '../../../domain/audit/event.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { EXPIRING_MS } from '../../tokens/rows.js'

const NONE = { offset: 0, limit: 0 } as const
// The length of a page of the list; the overview need not be more exact.
const MAX_COUNTED_REFUSALS = 1_000

/** The most important numbers, with links to their lists. */
export function overviewPages(pages: Pages, { accounts, tokens, access, audit }: PageOptions): void {
  pages.get('/', async (_request, reply) => {
    const [now, { enforce_pat_expiration: enforceExpiry }] = [access.now(), await access.settings()]
    const active = async (query: object) =>
      (await tokens.search({ ...NONE, state: 'active', ...query }, now, enforceExpiry)).total
    const refused = await audit.list({
      action: 'auth.refused',
      // These have an index.
      decision: 'refused',
      since: new Date(now.getTime() - DAY),
      limit: MAX_COUNTED_REFUSALS,
    })
    const numbers = {
      accounts: (await accounts.search(NONE)).total,
      withoutTwoFactor: (await accounts.search({ ...NONE, twoFactorEnabled: false, state: 'active' })).total,
      activeTokens: await active({}),
      expiring: await active({ expiresAfter: now, expiresBefore: new Date(now.getTime() + EXPIRING_MS) }),
      neverExpiring: await active({ neverExpires: true }),
      refused:
        refused.length === MAX_COUNTED_REFUSALS
          ? `${MAX_COUNTED_REFUSALS}+`
          : refused.reduce((sum, row) => sum + timesOf(row), 0),
    }
    return reply.page('admin/overview', { numbers })
  })
}

/** An event may stand for several of its kind. */
function timesOf({ details }: AuditRow): number {
  const repeated = details?.['repeated']
  return typeof repeated === 'number' ? repeated : 1
}
