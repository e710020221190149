import type { AuditAction, AuditDecision } from '../domain/audit/event.js'
import type { RecentUsage, Usage } from '../domain/audit/usage.js'
import type { Queries } from './database.js'

/** Adds up what tokens did with Git since an instant. */
export async function addUpUsage(queries: Queries, tokens: readonly number[], since: Date): Promise<Usage[]> {
  return await addUp(queries, tokens, since, 0)
}

/** Adds up their last rows only. @param most how many at most */
export async function addUpRecentUsage(
  queries: Queries,
  tokens: readonly number[],
  since: Date,
  most: number,
): Promise<RecentUsage> {
  const usage: Usage[] = []
  let left = most
  let countedSince: Date | undefined
  for (const token of tokens) {
    if (left <= 0) {
      countedSince ??= new Date(Math.min(...usage.map(({ first }) => first.getTime())))
      break
    }
    const first = await firstOfLast(queries, token, left)
    if (first !== undefined && first.at >= since.getTime()) countedSince ??= new Date(first.at)
    const parts = await addUp(queries, [token], since, first?.id ?? 0)
    left -= parts.reduce((sum, { count }) => sum + count, 0)
    usage.push(...parts)
  }
  return { usage, countedSince }
}

/** The first of a token's last rows, where it has so many and more. The index alone answers it, without a row. */
async function firstOfLast(queries: Queries, token: number, count: number) {
  const older = await queries
    .selectFrom('audit_events')
    .select('id')
    .where('token_id', '=', token)
    .orderBy('id', 'desc')
    .offset(count - 1)
    .limit(2)
    .execute()
  const [first] = older
  if (first === undefined || older.length < 2) return undefined
  return await queries.selectFrom('audit_events').select(['id', 'at']).where('id', '=', first.id).executeTakeFirst()
}

async function addUp(queries: Queries, tokens: readonly number[], since: Date, from: number): Promise<Usage[]> {
  const rows = await queries
    .selectFrom('audit_events')
    .select((eb) => [
      'repository',
      'action',
      'decision',
      'ip',
      'user_agent',
      eb.fn.countAll<number>().as('count'),
      eb.fn.min<number>('at').as('first'),
      eb.fn.max<number>('at').as('last'),
      eb.fn.sum<number | null>('bytes_in').as('bytes_in'),
      eb.fn.sum<number | null>('bytes_out').as('bytes_out'),
    ])
    .where('token_id', 'in', tokens)
    .where('id', '>=', from)
    .where('at', '>=', since.getTime())
    .groupBy(['repository', 'action', 'decision', 'ip', 'user_agent'])
    .execute()
  return rows.map(({ bytes_in, bytes_out, first, last, action, decision, user_agent, ...row }) => ({
    ...row,
    userAgent: user_agent,
    action: action as AuditAction,
    decision: decision as AuditDecision,
    first: new Date(first),
    last: new Date(last),
    bytesIn: bytes_in ?? 0,
    bytesOut: bytes_out ?? 0,
  }))
}
