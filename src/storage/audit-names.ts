import { sql } from 'kysely'
import type { Queries } from './database.js'

// As migration 6 counts.
const BLOCK = 4_096

/** The block of a row. */
export function blockOf(id: number): number {
  return Math.floor(id / BLOCK)
}

/** Rows of the audit log by their numbers, both ends included. */
export type RowRange = readonly [from: number, to: number]

/** Where in the audit log there are rows about an account, newest first; among the others there are none. */
export async function rangesAbout(queries: Queries, name: string): Promise<RowRange[]> {
  // By one block after the other, since to find a name by itself would take an index of its own.
  const { rows } = await sql<{ block: number }>`
    WITH RECURSIVE blocks (block) AS (
      SELECT (SELECT max(id) FROM audit_events) / ${sql.lit(BLOCK)}
      UNION ALL
      SELECT block - 1 FROM blocks WHERE block > (SELECT min(id) FROM audit_events) / ${sql.lit(BLOCK)}
    )
    SELECT block FROM blocks
      WHERE EXISTS (SELECT 1 FROM audit_names WHERE audit_names.block = blocks.block AND name = ${name})
  `.execute(queries)
  const ranges: [from: number, to: number][] = []
  for (const { block } of rows) {
    const from = block * BLOCK
    const last = ranges.at(-1)
    // What adjoins is one range: to ask for it takes one query.
    if (last?.[0] === from + BLOCK) last[0] = from
    else ranges.push([from, from + BLOCK - 1])
  }
  return ranges
}

/** Forgets the names of rows that are gone. @param id of the first row that is left */
export async function dropNamesBefore(queries: Queries, id: number): Promise<void> {
  await queries.deleteFrom('audit_names').where('block', '<', blockOf(id)).execute()
}

/** Makes the names of all rows anew, as migration 6 did. */
export async function rebuildNames(transaction: Queries): Promise<void> {
  await transaction.deleteFrom('audit_names').execute()
  await sql`
    INSERT INTO audit_names (block, name)
      SELECT id >> 12, username FROM audit_events WHERE username IS NOT NULL
      UNION SELECT id >> 12, impersonator FROM audit_events WHERE impersonator IS NOT NULL
      UNION SELECT id >> 12, substr(target, 6) FROM audit_events WHERE target LIKE 'user:%'
      UNION SELECT id >> 12, substr(json_extract(details, '$.owner'), 6) FROM audit_events
        WHERE details LIKE '%"owner":"user:%' AND json_extract(details, '$.owner') IS NOT NULL
  `.execute(transaction)
}
