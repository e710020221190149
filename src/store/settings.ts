import type { SettingStore } from '../policies/settings.js'
import type { Queries } from './database.js'
import { atomically, moveSecurityEpoch } from './database.js'

/** Settings in the database. */
export function settingStore(queries: Queries): SettingStore {
  return {
    async list() {
      const rows = await queries.selectFrom('settings').selectAll().execute()
      return new Map(rows.map(({ key, value }) => [key, value]))
    },

    set: (key, value) =>
      atomically(queries, async (transaction) => {
        await transaction
          .insertInto('settings')
          .values({ key, value })
          .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
          .execute()
        await moveSecurityEpoch(transaction)
      }),
  }
}
