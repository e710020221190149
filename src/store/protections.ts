import type { Protection, ProtectionStore } from '../access/protection.js'
import type { Queries } from './database.js'
import { atomically, moveSecurityEpoch } from './database.js'
import type { Trail } from './trail.js'

const COLUMNS = ['id', 'repository_pattern as repositories', 'ref_pattern as refs', 'push', 'force', 'delete'] as const

/** Protected refs in the database. */
export function protectionStore(queries: Queries, trail: Trail): ProtectionStore {
  return {
    put: ({ repositories, refs, ...levels }, now) =>
      atomically(queries, async (transaction) => {
        const row: Protection = await transaction
          .insertInto('protected_refs')
          .values({ repository_pattern: repositories, ref_pattern: refs, ...levels, created_at: now.getTime() })
          .onConflict((conflict) => conflict.columns(['repository_pattern', 'ref_pattern']).doUpdateSet(levels))
          .returning(COLUMNS)
          .executeTakeFirstOrThrow()
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, { action: 'protection.set', target: targetOf(row), details: levels })
        return row
      }),

    remove: (repositories, refs) =>
      atomically(queries, async (transaction) => {
        const result = await transaction
          .deleteFrom('protected_refs')
          .where('repository_pattern', '=', repositories)
          .where('ref_pattern', '=', refs)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, { action: 'protection.removed', target: targetOf({ repositories, refs }) })
        return true
      }),

    list: () => queries.selectFrom('protected_refs').select(COLUMNS).orderBy('id').execute(),
  }
}

function targetOf({ repositories, refs }: { readonly repositories: string; readonly refs: string }): string {
  return `protection:${repositories} ${refs}`
}
