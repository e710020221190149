import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { sql } from 'kysely'
import type { AuditRow } from '../domain/audit/event.js'
import type { AuditQuery } from '../domain/audit/audit-log.js'
import type { RowRange } from './audit-names.js'
import { rangesAbout } from './audit-names.js'
import { AUDIT_COLUMNS, auditRowFrom } from './audit-rows.js'
import type { Queries } from './database.js'
import type { Schema } from './database-schema.js'

type Events = ExpressionBuilder<Schema, 'audit_events'>

/** Finds rows of the audit log. */
export async function searchAudit(queries: Queries, query: AuditQuery): Promise<AuditRow[]> {
  if (query.user === undefined) return await searchIn(queries, query, undefined, query.limit)
  const ranges = await rangesAbout(queries, query.user)
  if (query.oldestFirst === true) ranges.reverse()
  const found: AuditRow[] = []
  for (const range of ranges) {
    if (found.length >= query.limit) break
    found.push(...(await searchIn(queries, query, range, query.limit - found.length)))
  }
  return found
}

/** @param range in which rows are looked at; `undefined`: all */
async function searchIn(
  queries: Queries,
  query: AuditQuery,
  range: RowRange | undefined,
  limit: number,
): Promise<AuditRow[]> {
  const rows = await queries
    .selectFrom('audit_events')
    .select(AUDIT_COLUMNS)
    .where((eb) => eb.and([...conditions(eb, query), ...(range === undefined ? [] : [eb.between('id', ...range)])]))
    .orderBy('id', query.oldestFirst === true ? 'asc' : 'desc')
    .limit(limit)
    .execute()
  return rows.map(auditRowFrom)
}

function conditions(eb: Events, query: AuditQuery): Expression<SqlBool>[] {
  const wanted: (Expression<SqlBool> | undefined)[] = [
    query.user === undefined
      ? undefined
      : eb.or([
          eb('username', '=', query.user),
          eb('target', '=', `user:${query.user}`),
          eb('impersonator', '=', query.user),
          // Of a change to a token, whose it is.
          contains('details', `"owner":"user:${query.user}"`),
        ]),
    query.tokens === undefined
      ? undefined
      : eb.or([
          eb('token_id', 'in', query.tokens),
          eb(
            'target',
            'in',
            query.tokens.map((id) => `token:${id}`),
          ),
        ]),
    query.repository === undefined ? undefined : matches(eb, 'repository', query.repository),
    query.action === undefined
      ? undefined
      : query.action.includes('.')
        ? eb('action', '=', query.action)
        : eb('action', 'like', `${query.action}.%`),
    // Not as a parameter: the index of those that were refused is for this very condition.
    query.decision && sql<SqlBool>`decision = ${sql.lit(query.decision)}`,
    query.via && eb('via', '=', query.via),
    query.ip === undefined ? undefined : eb('ip', '=', query.ip),
    query.since && eb('at', '>=', query.since.getTime()),
    query.until && eb('at', '<', query.until.getTime()),
    query.after === undefined ? undefined : eb('id', '>', query.after),
    query.before === undefined ? undefined : eb('id', '<', query.before),
  ]
  return wanted.filter((condition) => condition !== undefined)
}

function contains(column: 'details', text: string): Expression<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} LIKE ${`%${escaped(text)}%`} ESCAPE '\\'`
}

function escaped(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}

/** Compares with a pattern of which only `*` means something. */
function matches(eb: Events, column: 'repository', pattern: string): Expression<SqlBool> {
  if (!pattern.includes('*')) return eb(column, '=', pattern)
  const wild = escaped(pattern).replaceAll(/\*+/g, '%')
  return sql<SqlBool>`${sql.ref(column)} LIKE ${wild} ESCAPE '\\'`
}
