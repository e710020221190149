import type { Queries } from './database.js'

/** What a gate served last: repositories in a folder, or another server. */
export type ServedBackend = { readonly upstream: string } | { readonly root: string }

/** What an instance notes about itself, for the commands that work beside it. */
export interface InstanceFacts {
  /** What `serve` used last; `undefined` before its first run. */
  readBackend(): Promise<ServedBackend | undefined>
  writeBackend(backend: ServedBackend): Promise<void>
}

const BACKEND = 'backend'

/** The instance's facts in the database. */
export function instanceFacts(queries: Queries): InstanceFacts {
  return {
    async readBackend() {
      const row = await queries
        .selectFrom('instance_facts')
        .select('value')
        .where('key', '=', BACKEND)
        .executeTakeFirst()
      return row === undefined ? undefined : (JSON.parse(row.value) as ServedBackend)
    },

    async writeBackend(backend) {
      const value = JSON.stringify(backend)
      await queries
        .insertInto('instance_facts')
        .values({ key: BACKEND, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute()
    },
  }
}
