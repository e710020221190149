import { sql } from 'kysely'
import type { UsedRepositories } from '../domain/audit/usage.js'
import type { TokenQuery, UsedToken } from '../domain/tokens/query.js'
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

/** The tokens that a query asks for, with how much they were used, newest first, without derived ones. */
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

/** Rebuilds the uses that the log records. Uses from before its first event stay. */
export async function rebuildUses(transaction: Queries): Promise<void> {
  await sql`
    DELETE FROM token_uses
      WHERE max(coalesce(fetched_at, 0), coalesce(pushed_at, 0)) >= (SELECT coalesce(min(at), 0) FROM audit_events)
  `.execute(transaction)
  await sql`
    INSERT INTO token_uses (token_id, repository, fetched_at, pushed_at)
      SELECT coalesce(tokens.parent_id, events.token_id), events.repository,
        max(CASE events.action WHEN 'git.fetch' THEN events.at END),
        max(CASE events.action WHEN 'git.pushed' THEN events.at END)
      FROM audit_events AS events LEFT JOIN personal_access_tokens AS tokens ON tokens.id = events.token_id
      WHERE events.token_id IS NOT NULL AND events.repository IS NOT NULL
        AND events.decision = 'allowed' AND events.action IN ('git.fetch', 'git.pushed')
      GROUP BY 1, 2
    ON CONFLICT DO UPDATE SET
      fetched_at = coalesce(excluded.fetched_at, fetched_at), pushed_at = coalesce(excluded.pushed_at, pushed_at)
  `.execute(transaction)
}
