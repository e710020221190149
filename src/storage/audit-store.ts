import { sql } from 'kysely'
import type { ChainHead } from '../domain/audit/chain.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { AuditStore } from '../domain/audit/audit-log.js'
import { carryFacts, repairCarried } from './audit-carried.js'
import { dropNamesBefore, rebuildNames } from './audit-names.js'
import { lastRow, readEnd, writeEnd } from './signed-heads.js'
import { addUpRecentUsage, addUpUsage } from './audit-usage.js'
import { searchAudit } from './audit-search.js'
import type { Verifier } from './audit-verify.js'
import { verifyAudit } from './audit-verify.js'
import type { AuditWriter } from './audit-rows.js'
import { countUsedRepositories, rebuildUses } from './token-uses.js'
import { DAY } from '../core/clock.js'
import type { Queries, WriteQueue } from './database.js'
import type { AuditedChanges } from './audited-changes.js'

/** The audit log in the database. */
export function auditStore(
  verifier: Verifier,
  queue: WriteQueue,
  writer: AuditWriter,
  changes: AuditedChanges,
): AuditStore & { moveCheckpoint(): Promise<void> } {
  const { queries, sealer, checkpoint, redact } = verifier
  /** Whether the log still has an event, or has pruned it. */
  const holds = async ({ id, hash }: ChainHead): Promise<boolean> => {
    const row = await queries.selectFrom('audit_events').select('hash').where('id', '=', id).executeTakeFirst()
    return row?.hash === hash || ((await readEnd(queries, sealer, 'audit_start'))?.id ?? 0) >= id
  }
  const moveCheckpoint = async (): Promise<void> => {
    const head = await readEnd(queries, sealer, 'audit_head')
    const old = checkpoint.read()
    if (head === undefined || (old !== undefined && old.id >= head.id)) return
    // The first checkpoint is written while the log is empty. One that is missing later was removed, and one that the log doesn't
    // contain shows that the log was replaced. Writing another would hide that.
    if (old === undefined ? head.id === 0 : await holds(old)) checkpoint.write(head)
  }
  return {
    moveCheckpoint,

    async record(events) {
      const prepared = events.map((event) => writer.prepare(event))
      await queue.run('ordinary', (transaction) => writer.append(transaction, prepared))
      await moveCheckpoint()
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

    async prune(context, before, now, guard) {
      const confirmedAt = await confirmedTime(queries)
      return await changes.apply(context, async ({ transaction, record }) => {
        const lag = Math.max(0, now.getTime() - (confirmedAt?.getTime() ?? -Infinity))
        const horizon = guard === 'force' ? before.getTime() : before.getTime() - lag
        const { total, old, oldByClock, first } = await transaction
          .selectFrom('audit_events')
          .select((eb) => [
            eb.fn.countAll<number>().as('total'),
            eb.fn.countAll<number>().filterWhere('at', '<', horizon).as('old'),
            eb.fn.countAll<number>().filterWhere('at', '<', before.getTime()).as('oldByClock'),
            eb.fn.min('id').as('first'),
          ])
          .executeTakeFirstOrThrow()
        const unconfirmed = oldByClock - old
        const most = guard === 'force' ? total : Math.max(1, Math.floor((total * guard.share) / 100))
        // As many rows as are old, starting with the first, so a row with a wrong time neither blocks the others nor takes them along.
        const lastOld = await transaction
          .selectFrom('audit_events')
          .select(['id', 'hash'])
          .where('at', '<', horizon)
          .where('id', '<', first + old)
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst()
        if (lastOld === undefined) return { deleted: 0, overShare: 0, unconfirmed, confirmedAt }
        const [last, next] = await transaction
          .selectFrom('audit_events')
          .select(['id', 'hash', 'at'])
          .where('id', '>=', Math.min(lastOld.id, first + most - 1))
          .orderBy('id')
          .limit(2)
          .execute()
        if (last === undefined) throw new TypeError('the last row to delete is not there')
        const start = (await readEnd(transaction, sealer, 'audit_start')) ?? CHAIN_START
        const carried = await carryFacts(transaction, start, last, redact)
        const { numDeletedRows } = await transaction
          .deleteFrom('audit_events')
          .where('id', '<=', last.id)
          .executeTakeFirst()
        await transaction
          .deleteFrom('token_uses')
          .where(sql`max(coalesce(fetched_at, 0), coalesce(pushed_at, 0))`, '<', Math.min(horizon, next?.at ?? horizon))
          .execute()
        await dropNamesBefore(transaction, last.id + 1)
        await writeEnd(transaction, sealer, 'audit_start', last)
        const deleted = Number(numDeletedRows)
        const details = {
          rows: deleted,
          before: new Date(horizon).toISOString(),
          ...(guard === 'force' ? { forced: true } : {}),
          carried,
        }
        await record({ action: 'audit.pruned', target: `audit:${last.id}`, details })
        return { deleted, overShare: lastOld.id - last.id, unconfirmed, confirmedAt }
      })
    },

    async repair(context) {
      await changes.apply(context, async ({ transaction, record }) => {
        const start = (await readEnd(transaction, sealer, 'audit_start')) ?? CHAIN_START
        await rebuildNames(transaction)
        await rebuildUses(transaction)
        const carried = await repairCarried(transaction, start, redact)
        const details = { mark: checkpoint.read()?.id ?? null, ...(carried === undefined ? {} : { carried }) }
        await record({ action: 'audit.repaired', details })
      })
      checkpoint.write((await readEnd(queries, sealer, 'audit_head')) ?? (await lastRow(queries)))
    },
  }
}

/** How many different days of events it takes to believe a clock. */
export const CONFIRMING_DAYS = 3
// Read at a time: a few milliseconds, then other work gets a chance.
const PAGE_ROWS = 1_000

/**
 * The latest time that the audit log confirms: that of the last event of its third-newest day (UTC). A clock that jumps forward adds
 * one day, however far it jumps, so a wrong time counts only after events on three days, and somebody can notice it before. An event
 * that is followed by an earlier one has a wrong time and confirms nothing.
 *
 * @returns `undefined` if there are events on fewer days
 */
async function confirmedTime(queries: Queries): Promise<Date | undefined> {
  let [days, time] = [0, Infinity]
  for (let before = Number.MAX_SAFE_INTEGER; ;) {
    const events = await queries
      .selectFrom('audit_events')
      .select(['id', 'at'])
      .where('id', '<', before)
      .orderBy('id', 'desc')
      .limit(PAGE_ROWS)
      .execute()
    for (const { id, at } of events) {
      before = id
      if (at >= time) continue
      if (Math.floor(at / DAY) < Math.floor(time / DAY)) days += 1
      time = at
      if (days === CONFIRMING_DAYS) return new Date(time)
    }
    if (events.length === 0) return undefined
    await new Promise((resolve) => setImmediate(resolve))
  }
}
