import type { ExpressionBuilder } from 'kysely'
import { sql } from 'kysely'
import type { ChainHead } from '../audit/chain.js'
import { CHAIN_START } from '../audit/chain.js'
import { auditEvent, THE_GATE } from '../audit/event.js'
import type { AuditStore } from '../audit/trail.js'
import { hasSystemCode } from '../errors.js'
import { carryFacts } from './audit-carried.js'
import { dropNamesBefore } from './audit-names.js'
import { lastRow, readEnd, writeEnd } from './audit-ends.js'
import { addUpRecentUsage, addUpUsage } from './audit-usage.js'
import { searchAudit } from './audit-search.js'
import type { Verifier } from './audit-verify.js'
import { verifyAudit } from './audit-verify.js'
import type { AuditWriter } from './audit-writer.js'
import { atomically } from './database.js'
import type { Schema } from './schema.js'
import { countUsedRepositories } from './token-uses.js'

// Together five seconds, as long as commands wait for each other.
const BUSY_PAUSE = 50
const MAX_TRIES = 100

/** The trail in the database. */
export function auditStore(verifier: Verifier, writer: AuditWriter): AuditStore & { moveMark(): Promise<void> } {
  const { queries, sealer, mark, redact, clock } = verifier
  /** Whether the trail still holds a place of it, or has pruned it. */
  const holds = async ({ id, hash }: ChainHead): Promise<boolean> => {
    const row = await queries.selectFrom('audit_events').select('hash').where('id', '=', id).executeTakeFirst()
    return row?.hash === hash || ((await readEnd(queries, sealer, 'audit_start'))?.id ?? 0) >= id
  }
  const moveMark = async (): Promise<void> => {
    const head = await readEnd(queries, sealer, 'audit_head')
    const old = mark.read()
    if (head === undefined || (old !== undefined && old.id >= head.id)) return
    // It is made while the log is empty. Later, one that is missing was removed, and one that the log does not hold tells that
    // the log was replaced: to write another would hide that.
    if (old === undefined ? head.id === 0 : await holds(old)) mark.write(head)
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

    verify: (anchor, onProgress) => verifyAudit(verifier, anchor, onProgress ?? (() => undefined)),

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
        const start = (await readEnd(transaction, sealer, 'audit_start')) ?? CHAIN_START
        const carried = await carryFacts(transaction, start, last, redact)
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
        const details = { rows: Number(numDeletedRows), before: before.toISOString(), carried }
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
