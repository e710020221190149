import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { ChainHead } from '../domain/audit/chain.js'
import { currentFacts } from './current-facts.js'
import type { Queries } from './database.js'
import type { FactRow } from './recorded-facts.js'
import { FACT_ACTIONS, FACT_COLUMNS, factsOf } from './recorded-facts.js'

// Rows read at a time.
const PAGE_ROWS = 1_000

/** Key of the newest time among pruned rows: uses of tokens before it may have no row. */
export const NEWEST_PRUNED = 'audit newest'

// The hash of an empty table.
const NOTHING_CARRIED = createHash('sha256').digest('hex')

/** The row of the log that records {@link hashCarried}, and the hash in it. */
export type CarriedHead = { readonly id: number; readonly hash: string | undefined }

/** The hash of carried facts in an event. @returns `undefined` if the event has none */
export function carriedHeadOf({ action, details, id }: FactRow & { readonly id: number }): CarriedHead | undefined {
  if (action !== 'audit.pruned' && action !== 'audit.repaired') return undefined
  const { carried } = (JSON.parse(details ?? '{}') ?? {}) as { readonly carried?: string }
  // Version 0.1.0 pruned without a hash. A repair records one only if it changed the facts.
  return action === 'audit.repaired' && carried === undefined ? undefined : { id, hash: carried }
}

/** The hash of the facts from pruned rows that are still true. */
export async function hashCarried(queries: Queries): Promise<string> {
  const hash = createHash('sha256')
  for (let after = ''; ;) {
    const rows = await carriedAfter(queries, after)
    const last = rows.at(-1)
    if (last === undefined) return hash.digest('hex')
    for (const { key, value } of rows) hash.update(`${JSON.stringify([key, value])}\n`)
    after = last.key
  }
}

/** A page of carried facts, in the order of their keys. */
export async function carriedAfter(queries: Queries, after: string) {
  const query = queries.selectFrom('audit_carried').selectAll().where('key', '>', after)
  return await query.orderBy('key').limit(PAGE_ROWS).execute()
}

/** Keeps the facts of rows that are about to be pruned. It uses only their events, so a row that somebody edited by hand isn't
 * accepted by being pruned.
 * @param last the last row to prune
 * @returns the hash for the event `audit.pruned`
 */
export async function carryFacts(
  transaction: Queries,
  start: ChainHead,
  last: ChainHead,
  redact: (text: string) => string,
): Promise<string> {
  const known = await newestCarriedHead(transaction, start)
  // Somebody changed the table by hand; a new hash would hide that.
  if (known !== undefined && known !== (await hashCarried(transaction))) return known
  if (known === undefined) await adoptFacts(transaction, start, redact)
  for await (const row of factRows(transaction, start.id, last.id)) await carry(transaction, row)
  await dropEnded(transaction)
  const { newest } = await transaction
    .selectFrom('audit_events')
    .select((eb) => eb.fn.max<number>('at').as('newest'))
    .where('id', '<=', last.id)
    .executeTakeFirstOrThrow()
  await putNewest(transaction, newest)
  return await hashCarried(transaction)
}

/** Accepts the rows of the tables as carried facts wherever the log has no event about them: once after version 0.1.0 has pruned,
 * and in a repair, for which somebody takes responsibility.
 */
async function adoptFacts(transaction: Queries, start: ChainHead, redact: (text: string) => string): Promise<void> {
  await transaction.deleteFrom('audit_carried').execute()
  const recorded = new Set<string>()
  for await (const row of factRows(transaction, start.id, Number.MAX_SAFE_INTEGER))
    for (const [key] of factsOf(row)) recorded.add(key)
  for await (const { key, value, parts = [] } of currentFacts(transaction, redact))
    for (const fact of [{ key, value }, ...parts])
      if (!recorded.has(fact.key)) await put(transaction, fact.key, fact.value)
  const { newest } = await transaction
    .selectFrom('token_uses')
    .select(sql<number | null>`max(max(coalesce(fetched_at, 0), coalesce(pushed_at, 0)))`.as('newest'))
    .executeTakeFirstOrThrow()
  await putNewest(transaction, newest)
}

/** Rebuilds the carried facts if their hash isn't the one in the log.
 * @returns their hash, or `undefined` if nothing was changed
 */
export async function repairCarried(
  transaction: Queries,
  start: ChainHead,
  redact: (text: string) => string,
): Promise<string | undefined> {
  if ((await newestCarriedHead(transaction, start)) === (await hashCarried(transaction))) return undefined
  if (start.id === 0) await transaction.deleteFrom('audit_carried').execute()
  else await adoptFacts(transaction, start, redact)
  return await hashCarried(transaction)
}

/** The newest hash in the log. @returns `undefined` if version 0.1.0 has pruned */
async function newestCarriedHead(queries: Queries, start: ChainHead): Promise<string | undefined> {
  const rows = queries
    .selectFrom('audit_events')
    .select(['id', ...FACT_COLUMNS])
    .where('action', 'in', ['audit.pruned', 'audit.repaired'])
  for (const row of await rows.orderBy('id', 'desc').execute()) {
    const head = carriedHeadOf(row)
    if (head !== undefined) return head.hash
  }
  return start.id === 0 ? NOTHING_CARRIED : undefined
}

async function* factRows(queries: Queries, after: number, to: number) {
  for (let from = after; ;) {
    const rows = await queries
      .selectFrom('audit_events')
      .select(['id', ...FACT_COLUMNS])
      .where('id', '>', from)
      .where('id', '<=', to)
      .where('action', 'in', FACT_ACTIONS)
      .orderBy('id')
      .limit(PAGE_ROWS)
      .execute()
    const last = rows.at(-1)
    if (last === undefined) return
    yield* rows
    from = last.id
  }
}

async function carry(transaction: Queries, row: FactRow): Promise<void> {
  for (const [key, value] of factsOf(row)) {
    if (value === null) await transaction.deleteFrom('audit_carried').where('key', '=', key).execute()
    else await put(transaction, key, value)
  }
  // An account's webhooks are deleted with it.
  if (row.action === 'user.deleted')
    await sql`
      DELETE FROM audit_carried
      WHERE key >= 'webhook:' AND key < 'webhook;' AND json_extract(value, '$[1]') = ${row.target}
    `.execute(transaction)
}

async function putNewest(transaction: Queries, newest: number | null): Promise<void> {
  await sql`
    INSERT INTO audit_carried (key, value) VALUES (${NEWEST_PRUNED}, ${String(newest ?? 0)})
    ON CONFLICT DO UPDATE SET value = CAST(max(CAST(value AS integer), CAST(excluded.value AS integer)) AS text)
  `.execute(transaction)
}

async function put(transaction: Queries, key: string, value: string): Promise<void> {
  await transaction
    .insertInto('audit_carried')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

/** Deletes facts about tokens and sessions that were deleted, which has no event. Their IDs are never reused. */
async function dropEnded(transaction: Queries): Promise<void> {
  await sql`
    DELETE FROM audit_carried WHERE key >= 'token:' AND key < 'token;'
      AND CAST(substr(key, 7) AS integer) NOT IN (SELECT id FROM personal_access_tokens)
  `.execute(transaction)
  await sql`
    DELETE FROM audit_carried WHERE key >= 'session:' AND key < 'session;'
      AND CAST(substr(key, 9) AS integer) NOT IN (SELECT id FROM sessions)
  `.execute(transaction)
}
