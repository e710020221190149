import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { sql } from 'kysely'
import { DAY } from '../core/clock.js'
import type { TokenQuery, TokenSort } from '../domain/tokens/query.js'
import type { TokenPage } from '../domain/tokens/store.js'
import type { Queries } from './database.js'
import type { Schema } from './database-schema.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'

type Tokens = ExpressionBuilder<Schema, 'personal_access_tokens'>

/** Finds a page of tokens. @param enforceExpiry the setting `enforce_pat_expiration` */
export async function searchTokens(
  queries: Queries,
  query: TokenQuery,
  now: Date,
  enforceExpiry: boolean,
): Promise<TokenPage> {
  const filtered = tokensLike(queries, query, now, enforceExpiry)
  const { total } = await filtered.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
  const [column, direction] = ORDERS[query.sort ?? 'created_desc']
  const rows = await filtered
    .select(TOKEN_COLUMNS)
    // What never happens comes last when rising, as in PostgreSQL.
    .orderBy(sql`${sql.ref(column)} IS NULL`, direction)
    .orderBy(column, direction)
    .orderBy('id', direction)
    .offset(query.offset)
    .limit(query.limit)
    .execute()
  return { tokens: rows.map(tokenFrom), total }
}

/** The tokens that a query asks for, whatever its page. */
export function tokensLike(queries: Queries, query: Filter, now: Date, enforceExpiry: boolean) {
  return queries
    .selectFrom('personal_access_tokens')
    .where((eb) => eb.and(conditions(eb, query, now.getTime(), enforceExpiry)))
}

type Filter = Omit<TokenQuery, 'offset' | 'limit'>

const ORDERS: Readonly<Record<TokenSort, [column: 'id' | 'expires_at' | 'last_used_at' | 'name', 'asc' | 'desc']>> = {
  created_asc: ['id', 'asc'],
  created_desc: ['id', 'desc'],
  expires_asc: ['expires_at', 'asc'],
  expires_desc: ['expires_at', 'desc'],
  last_used_asc: ['last_used_at', 'asc'],
  last_used_desc: ['last_used_at', 'desc'],
  name_asc: ['name', 'asc'],
  name_desc: ['name', 'desc'],
}

function conditions(eb: Tokens, query: Filter, now: number, enforceExpiry: boolean): Expression<SqlBool>[] {
  const revoked = eb.and([eb('revoked_at', 'is not', null), eb('revoked_at', '<=', now)])
  const expired = enforceExpiry
    ? eb.and([eb('expires_at', 'is not', null), eb('expires_at', '<=', now)])
    : eb.lit(false)
  const inactive = eb.or([revoked, expired])
  const wanted: (Expression<SqlBool> | undefined)[] = [
    query.ids === undefined ? undefined : eb('id', 'in', query.ids),
    query.userId === undefined ? undefined : eb('user_id', '=', query.userId),
    query.impersonation === undefined ? undefined : eb('impersonation', '=', query.impersonation ? 1 : 0),
    query.state === undefined ? undefined : query.state === 'inactive' ? inactive : eb.not(inactive),
    query.revoked === undefined ? undefined : query.revoked ? revoked : eb.not(revoked),
    // instr and not LIKE: a search for 100% finds that.
    query.search === undefined
      ? undefined
      : sql<SqlBool>`instr(unicode_lower(name), ${query.search.toLowerCase()}) > 0`,
    query.text === undefined ? undefined : mentions(query.text.toLowerCase()),
    query.createdAfter && eb('created_at', '>=', query.createdAfter.getTime()),
    query.createdBefore && eb('created_at', '<=', query.createdBefore.getTime()),
    query.lastUsedAfter && eb('last_used_at', '>=', query.lastUsedAfter.getTime()),
    query.lastUsedBefore && eb('last_used_at', '<=', query.lastUsedBefore.getTime()),
    query.expiresAfter && eb('expires_at', '>=', query.expiresAfter.getTime()),
    query.expiresBefore && eb('expires_at', '<', query.expiresBefore.getTime()),
    query.neverExpires === undefined ? undefined : eb('expires_at', query.neverExpires ? 'is' : 'is not', null),
    query.unusedSince && unused(eb, query.unusedSince.getTime()),
    query.derived === undefined ? undefined : eb('parent_id', query.derived ? 'is not' : 'is', null),
  ]
  return wanted.filter((condition) => condition !== undefined)
}

// What scopes and patterns of repositories are made of. None of it is what sets them apart in the JSON.
const WORD = /^[\w.*/-]+$/

function unused(eb: Tokens, since: number): Expression<SqlBool> {
  // The last use is written at most once a day, so it may be a day later than it says.
  const notUsed = eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', since - DAY)])
  return eb.and([eb('created_at', '<', since), notUsed])
}

/** Whether a token has a text, in lower case, in what people see of it. The quick comparisons come first. */
function mentions(text: string): Expression<SqlBool> {
  const inWords = WORD.test(text)
    ? sql`instr(scopes, ${text}) > 0 OR instr(lower(repositories), ${text}) > 0`
    : sql`FALSE`
  const inRefs = sql`SELECT 1 FROM json_each(refs) WHERE instr(unicode_lower(value ->> 'pattern'), ${text}) > 0`
  // Nobody's search holds a line break, so none is found across one.
  const inWriting = sql`instr(unicode_lower(name || char(10) || coalesce(description, '')), ${text}) > 0`
  return sql`(${inWords} OR (refs <> '[]' AND EXISTS (${inRefs})) OR ${inWriting})`
}
