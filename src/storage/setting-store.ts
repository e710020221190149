import type { SettingStore } from '../domain/policies/settings.js'
import type { Queries } from './database.js'
import { moveSecurityEpoch } from './database.js'
import type { AuditedChanges } from './audited-changes.js'
import type { Schema } from './database-schema.js'
import { CLOCK_TOLERANCE_MS } from './recorded-facts.js'

/** Settings in the database. */
export function settingStore(queries: Queries, changes: AuditedChanges): SettingStore {
  return {
    async list() {
      const rows = await queries.selectFrom('settings').select(['key', 'value']).execute()
      return new Map(rows.map(({ key, value }) => [key, value]))
    },

    async setAt(key) {
      const row = await queries.selectFrom('settings').select('set_at').where('key', '=', key).executeTakeFirst()
      return row === undefined || row.set_at === null ? undefined : new Date(row.set_at)
    },

    set: (context, values, now) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const set_at = now.getTime()
        for (const [key, value] of values) {
          const old = await transaction.selectFrom('settings').selectAll().where('key', '=', key).executeTakeFirst()
          // An unchanged value is set only if no event has it: somebody edited the database, or the event was pruned.
          if (old?.value === value && (await isRecorded(transaction, old))) continue
          await transaction
            .insertInto('settings')
            .values({ key, value, set_at })
            .onConflict((conflict) => conflict.column('key').doUpdateSet({ value, set_at }))
            .execute()
          const details = { from: old?.value ?? null, to: value }
          await change.record({ action: 'setting.changed', target: `setting:${key}`, details })
        }
        await moveSecurityEpoch(transaction)
      }),
  }
}

async function isRecorded(transaction: Queries, { key, value, set_at }: Schema['settings']): Promise<boolean> {
  const row = await transaction
    .selectFrom('audit_events')
    .select(['at', 'details'])
    .where('target', '=', `setting:${key}`)
    .where('action', '=', 'setting.changed')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined || set_at === null || Math.abs(row.at - set_at) > CLOCK_TOLERANCE_MS) return false
  return (JSON.parse(row.details ?? '{}') as { readonly to?: string }).to === value
}
