import type { UsedRepositories } from '../audit/usage.js'
import type { TokenQuery, UsedToken } from '../tokens/query.js'
import type { Queries } from './database.js'
import { tokensLike } from './token-search.js'
import { limitsFrom } from './token-row.js'

/** How many different repositories a token was used with since an instant. */
export async function countUsedRepositories(queries: Queries, token: number, since: Date): Promise<UsedRepositories> {
  const from = since.getTime()
  return await queries
    .selectFrom('token_uses')
    .select((eb) => [
      eb.fn.countAll<number>().filterWhere('fetched_at', '>=', from).as('read'),
      eb.fn.countAll<number>().filterWhere('pushed_at', '>=', from).as('written'),
    ])
    .where('token_id', '=', token)
    .executeTakeFirstOrThrow()
}

/** The tokens that a query asks for, with how much they were used, newest first. Those derived from others are left out. */
export async function listUsedTokens(
  queries: Queries,
  query: Omit<TokenQuery, 'offset' | 'limit'>,
  since: Date,
  now: Date,
  enforceExpiry: boolean,
): Promise<UsedToken[]> {
  const from = since.getTime()
  const rows = await tokensLike(queries, { ...query, derived: false }, now, enforceExpiry)
    .select(['id', 'user_id', 'scopes', 'repositories', 'within_limits', 'created_at', 'expires_at', 'revoked_at'])
    .select('last_used_at')
    .orderBy('id', 'desc')
    .execute()
  const counts = await queries
    .selectFrom('token_uses')
    .select('token_id')
    .select((eb) => [
      eb.fn.countAll<number>().filterWhere('fetched_at', '>=', from).as('read'),
      eb.fn.countAll<number>().filterWhere('pushed_at', '>=', from).as('written'),
    ])
    .groupBy('token_id')
    .execute()
  const usedBy = new Map(counts.map(({ token_id, read, written }) => [token_id, { read, written }]))
  return rows.map((row) => ({ ...limitsFrom(row), used: usedBy.get(row.id) ?? UNUSED }))
}

const UNUSED = { read: 0, written: 0 }
