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

/** What an instance notes about itself. */
export interface InstanceFacts {
  /** The folder of the embedded server's repositories, as `serve` last used it. */
  readRepositoriesRoot(): Promise<string | undefined>
  writeRepositoriesRoot(path: string): Promise<void>
}

/** The instance's facts in the database. */
export function instanceFacts(queries: Queries): InstanceFacts {
  const key = 'repositories_root'
  return {
    async readRepositoriesRoot() {
      const row = await queries.selectFrom('instance_facts').select('value').where('key', '=', key).executeTakeFirst()
      return row?.value
    },

    async writeRepositoriesRoot(value) {
      await queries
        .insertInto('instance_facts')
        .values({ key, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
    },
  }
}
