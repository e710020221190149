import { DAY, utcDate } from '../../core/clock.js'
import type { AuditStore, PruneGuard, Pruned } from './audit-log.js'
import type { AuditContext } from './event.js'

// In use, the log confirms the day before yesterday; on a quiet gate less.
const USUAL_LAG_MS = 7 * DAY

/** What came of pruning; `held`: why events stay that are too old by the clock. */
export type Retained = Pruned & { readonly outcome: string; readonly held: boolean }

/**
 * Deletes the events that are older than the setting `audit_retention`.
 *
 * @param days the setting
 * @param now by the clock, which may be wrong
 * @returns what came of it; `undefined` where everything is kept
 */
export async function applyRetention(
  audit: Pick<AuditStore, 'prune'>,
  context: AuditContext,
  days: number | null,
  now: Date,
  guard: PruneGuard,
): Promise<Retained | undefined> {
  if (days === null) return undefined
  const pruned = await audit.prune(context, new Date(now.getTime() - days * DAY), now, guard)
  const reason = whyHeld(pruned, days, now, guard)
  const deleted = `${pruned.deleted} row${pruned.deleted === 1 ? '' : 's'} deleted`
  return { ...pruned, held: reason !== undefined, outcome: reason === undefined ? deleted : `${deleted}; ${reason}` }
}

/** What is told where everything is kept. */
export const EVERYTHING_KEPT = 'everything is kept (setting audit_retention)'

function whyHeld(
  { deleted, overShare, unconfirmed, confirmedAt }: Pruned,
  days: number,
  now: Date,
  guard: PruneGuard,
): string | undefined {
  if (guard === 'force') return undefined
  const remedy = 'to delete now all that is too old by the clock: gitgate audit prune --force'
  if (overShare > 0)
    return `${overShare} more are too old, but a run deletes at most ${guard.share}% of the log; ${remedy}`
  const isUsual = confirmedAt !== undefined && now.getTime() - confirmedAt.getTime() <= USUAL_LAG_MS
  if (unconfirmed === 0 || isUsual) return undefined
  const last = confirmedAt === undefined ? 'has events on fewer than three days' : `confirms ${utcDate(confirmedAt)}`
  const others = deleted > 0 ? 'more ' : ''
  return `${unconfirmed} ${others}are older than ${days} days by the clock, but the log ${last}: check the clock; ${remedy}`
}
