import type { ChainHead } from '../domain/audit/chain.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'

/** The two ends of the trail: what its first row follows, and its last row. */
export type AuditEnd = 'audit_start' | 'audit_head'

/**
 * Reads what is kept about an end of the trail. It is signed under the key, which is not in the database: who removes the
 * last rows with a shell can't make the head that fits.
 *
 * @returns `undefined` where it was not signed by a gate
 */
export async function readEnd(queries: Queries, sealer: Sealer, end: AuditEnd): Promise<ChainHead | undefined> {
  const row = await queries.selectFrom('instance_facts').select('value').where('key', '=', end).executeTakeFirst()
  // Nothing was pruned, or nothing written yet.
  if (row === undefined) return end === 'audit_start' || (await isEmpty(queries)) ? CHAIN_START : undefined
  const [id = '', hash = '', signature = ''] = row.value.split(' ')
  return sealer.isSigned(`${id} ${hash}`, end, signature) ? { id: Number(id), hash } : undefined
}

/** Keeps an end of the trail. */
export async function writeEnd(
  transaction: Queries,
  sealer: Sealer,
  end: AuditEnd,
  { id, hash }: ChainHead,
): Promise<void> {
  const text = `${id} ${hash}`
  const value = `${text} ${sealer.sign(text, end)}`
  await transaction
    .insertInto('instance_facts')
    .values({ key: end, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

async function isEmpty(queries: Queries): Promise<boolean> {
  return (await queries.selectFrom('audit_events').select('id').limit(1).executeTakeFirst()) === undefined
}

/** The last row that there is, whatever is kept about it. */
export async function lastRow(queries: Queries): Promise<ChainHead> {
  const query = queries.selectFrom('audit_events').select(['id', 'hash']).orderBy('id', 'desc').limit(1)
  return (await query.executeTakeFirst()) ?? CHAIN_START
}
