import { sql } from 'kysely'
import type { Queries } from './database.js'

// Migration 6 uses the same size.
const BLOCK_ROWS = 4_096

/** The block that a row belongs to. */
export function blockOf(id: number): number {
  return Math.floor(id / BLOCK_ROWS)
}

/** A range of row IDs of the audit log, both ends included. */
export type RowRange = readonly [from: number, to: number]

/** The ranges of the audit log that contain all rows about an account, newest first. */
export async function rangesAbout(queries: Queries, name: string): Promise<RowRange[]> {
  // Block by block, because a search by name alone would need another index. Only blocks that have names are visited: the IDs of
  // rows that somebody inserted in the database may be 2^63 apart.
  const { rows } = await sql<{ block: number }>`
    WITH RECURSIVE blocks (block) AS (
      SELECT max(block) FROM audit_names
      UNION ALL
      SELECT (SELECT max(block) FROM audit_names WHERE audit_names.block < blocks.block) FROM blocks
        WHERE block IS NOT NULL
    )
    SELECT block FROM blocks
      WHERE EXISTS (SELECT 1 FROM audit_names WHERE audit_names.block = blocks.block AND name = ${name})
  `.execute(queries)
  const ranges: [from: number, to: number][] = []
  for (const { block } of rows) {
    const from = block * BLOCK_ROWS
    const last = ranges.at(-1)
    // Adjoining blocks are merged, so that they take one query.
    if (last?.[0] === from + BLOCK_ROWS) last[0] = from
    else ranges.push([from, from + BLOCK_ROWS - 1])
  }
  return ranges
}

/** Deletes the names of pruned rows. @param id of the first remaining row */
export async function dropNamesBefore(queries: Queries, id: number): Promise<void> {
  await queries.deleteFrom('audit_names').where('block', '<', blockOf(id)).execute()
}

/** Rebuilds the names of all rows, as migration 6 did. */
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
