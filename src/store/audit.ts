import type { ExpressionBuilder } from 'kysely'
import { sql } from 'kysely'
import type { ChainHead, Flaw } from '../audit/chain.js'
import { CHAIN_START, ChainWalk } from '../audit/chain.js'
import { auditEvent, THE_GATE } from '../audit/event.js'
import type { AuditStore } from '../audit/trail.js'
import type { Clock } from '../clock.js'
import { GitgateError, hasSystemCode } from '../errors.js'
import type { AuditMark } from './audit-mark.js'
import { dropNamesBefore } from './audit-names.js'
import { lastRow, readEnd, writeEnd } from './audit-ends.js'
import { AUDIT_COLUMNS, linkOf } from './audit-row.js'
import { addUpRecentUsage, addUpUsage } from './audit-usage.js'
import { searchAudit } from './audit-search.js'
import type { AuditWriter } from './audit-writer.js'
import type { Queries } from './database.js'
import { atomically } from './database.js'
import type { Schema } from './schema.js'
import type { Sealer } from './seal.js'
import { countUsedRepositories } from './token-uses.js'

// Read at a time while the trail is verified: a few milliseconds, between which others have their turn.
const PAGE = 1_000
// Together five seconds, as long as commands wait for each other.
const BUSY_PAUSE = 50
const MAX_TRIES = 100

/** The trail in the database. */
export function auditStore(
  queries: Queries,
  writer: AuditWriter,
  sealer: Sealer,
  clock: Clock,
  mark: AuditMark,
): AuditStore & { moveMark(): Promise<void> } {
  /** Whether the trail still holds a place of it, or has pruned it. */
  const holds = async ({ id, hash }: ChainHead): Promise<boolean> => {
    const row = await queries.selectFrom('audit_events').select('hash').where('id', '=', id).executeTakeFirst()
    return row?.hash === hash || ((await readEnd(queries, sealer, 'audit_start'))?.id ?? 0) >= id
  }
  const moveMark = async (): Promise<void> => {
    const head = await readEnd(queries, sealer, 'audit_head')
    const old = mark.read()
    if (head === undefined || head.id === 0 || (old !== undefined && old.id >= head.id)) return
    // One that the trail does not hold tells that it was replaced: it stays, as what tells so.
    if (old === undefined || (await holds(old))) mark.write(head)
  }

  return {
    moveMark,

    async record(events) {
      await patiently(() => atomically(queries, (transaction) => writer.append(transaction, events)))
      await moveMark()
    },

    list: (query) => searchAudit(queries, query),

    usage: (tokens, since) => addUpUsage(queries, tokens, since),

    recentUsage: (tokens, since, most) => addUpRecentUsage(queries, tokens, since, most),

    usedRepositories: (token, since) => countUsedRepositories(queries, token, since),

    async begin() {
      const query = queries.selectFrom('audit_events').select('at').orderBy('id').limit(1)
      const row = await query.executeTakeFirst()
      return row === undefined ? undefined : new Date(row.at)
    },

    head: async () => (await readEnd(queries, sealer, 'audit_head')) ?? (await lastRow(queries)),

    async verify(anchor, onProgress) {
      const start = await readEnd(queries, sealer, 'audit_start')
      const first = start ?? CHAIN_START
      if (anchor !== undefined && anchor.id < first.id)
        throw new GitgateError('invalid', `row ${anchor.id} was pruned; the trail begins after row ${first.id}`)
      const noted = mark.read()
      const anchors = [anchor, noted].filter((one) => one !== undefined && one.id > first.id) as ChainHead[]
      const walk = new ChainWalk(first, anchors)
      const { head, flaw: walked } = await walkRows(queries, sealer, walk, onProgress)
      const flaw: Flaw | undefined =
        walked ?? (start === undefined || head === undefined ? { kind: 'ends-changed' } : walk.end(head))
      return { rows: walk.last.id - first.id, first, head: head ?? walk.last, flaw }
    },

    prune: (before) =>
      atomically(queries, async (transaction) => {
        const old = (eb: ExpressionBuilder<Schema, 'audit_events'>) => eb('at', '<', before.getTime())
        const { count } = await transaction
          .selectFrom('audit_events')
          .select((eb) => eb.fn.countAll<number>().as('count'))
          .where(old)
          .executeTakeFirstOrThrow()
        const first = await transaction
          .selectFrom('audit_events')
          .select('id')
          .orderBy('id')
          .limit(1)
          .executeTakeFirst()
        // As many rows as are old, from the first on: one whose clock was wrong neither holds up the others nor takes them along.
        const last = await transaction
          .selectFrom('audit_events')
          .select(['id', 'hash'])
          .where(old)
          .where('id', '<', (first?.id ?? 0) + count)
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst()
        if (last === undefined) return 0
        const { numDeletedRows } = await transaction
          .deleteFrom('audit_events')
          .where('id', '<=', last.id)
          .executeTakeFirst()
        await transaction
          .deleteFrom('token_uses')
          .where(sql`max(coalesce(fetched_at, 0), coalesce(pushed_at, 0))`, '<', before.getTime())
          .execute()
        await dropNamesBefore(transaction, last.id + 1)
        await writeEnd(transaction, sealer, 'audit_start', last)
        const details = { rows: Number(numDeletedRows), before: before.toISOString() }
        const event = auditEvent(THE_GATE, clock(), { action: 'audit.pruned', target: `audit:${last.id}`, details })
        await writer.append(transaction, [event])
        return Number(numDeletedRows)
      }),
  }
}

/** Tries again while another program writes: a row must not be lost, nor a push refused, for that. */
async function patiently(write: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await write()
      return
    } catch (error) {
      if (!hasSystemCode(error, 'SQLITE_BUSY') || tries === MAX_TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE))
    }
  }
}

/** Reads to the end of the trail, where it grows meanwhile, too. @returns the end, as it was signed, and the first flaw before it */
async function walkRows(
  queries: Queries,
  sealer: Sealer,
  walk: ChainWalk,
  onProgress: ((rows: number) => void) | undefined,
): Promise<{ head: ChainHead | undefined; flaw: Flaw | undefined }> {
  let noted: Flaw | undefined
  // From the very first row: one that stands before the beginning was put there.
  for (let after = Number.MIN_SAFE_INTEGER, count = 0; ;) {
    const rows = await queries
      .selectFrom('audit_events')
      .select(AUDIT_COLUMNS)
      .where('id', '>', after)
      .orderBy('id')
      .limit(PAGE)
      .execute()
    for (const row of rows) {
      const flaw = walk.take(linkOf(row))
      if (flaw !== undefined) return { head: await readEnd(queries, sealer, 'audit_head'), flaw: noted ?? flaw }
      if (row.action === 'audit.ends_changed') noted ??= { kind: 'noted', id: row.id }
      after = row.id
    }
    count += rows.length
    onProgress?.(count)
    await new Promise((resolve) => setImmediate(resolve))
    if (rows.length > 0) continue
    // Read after the last row: it is of that one, or of one that was added since.
    const head = await readEnd(queries, sealer, 'audit_head')
    if (noted !== undefined || head === undefined || head.id <= walk.last.id || !(await hasRowAfter(queries, after)))
      return { head, flaw: noted }
  }
}

async function hasRowAfter(queries: Queries, id: number): Promise<boolean> {
  const query = queries.selectFrom('audit_events').select('id').where('id', '>', id).limit(1)
  return (await query.executeTakeFirst()) !== undefined
}
