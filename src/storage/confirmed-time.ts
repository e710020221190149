import { DAY } from '../core/clock.js'
import type { Queries } from './database.js'

/** On so many days something must have happened until a clock is believed. */
export const CONFIRMING_DAYS = 3
// A few milliseconds, between which others have their turn.
const PAGE = 1_000

/**
 * The latest time that the audit log confirms: that of the last event of its third-newest day (UTC). A clock that jumps forward adds
 * one day, however far it jumps; a wrong time counts only after events on three days, so that somebody can notice it before. An
 * event that an earlier one follows was written by a wrong clock, and confirms nothing.
 *
 * @returns `undefined` where there are events on fewer days
 */
export async function confirmedTime(queries: Queries): Promise<Date | undefined> {
  let [days, time] = [0, Infinity]
  for (let before = Number.MAX_SAFE_INTEGER; ;) {
    const events = await queries
      .selectFrom('audit_events')
      .select(['id', 'at'])
      .where('id', '<', before)
      .orderBy('id', 'desc')
      .limit(PAGE)
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
