import { sql } from 'kysely'
import type { SqlBool } from 'kysely'
import type { Protection, ProtectionStore } from '../domain/access/protection.js'
import { GitgateError } from '../core/errors.js'
import type { Queries } from './database.js'
import { moveSecurityEpoch } from './database.js'
import type { AuditedChanges } from './audited-changes.js'

// Of one pattern of repositories. Each may cost a comparison for each ref of a push.
const MAX_PROTECTIONS = 500

const COLUMNS = ['id', 'repository_pattern as repositories', 'ref_pattern as refs', 'push', 'force', 'delete'] as const

/** Protected refs in the database. */
export function protectionStore(queries: Queries, changes: AuditedChanges): ProtectionStore {
  return {
    put: (context, { repositories, refs, ...levels }, now) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        await requireBelowLimit(transaction, repositories, refs)
        const row: Protection = await transaction
          .insertInto('protected_refs')
          .values({ repository_pattern: repositories, ref_pattern: refs, ...levels, created_at: now.getTime() })
          .onConflict((conflict) => conflict.columns(['repository_pattern', 'ref_pattern']).doUpdateSet(levels))
          .returning(COLUMNS)
          .executeTakeFirstOrThrow()
        await moveSecurityEpoch(transaction)
        await change.record({ action: 'protection.set', target: targetOf(row), details: levels })
        return row
      }),

    remove: (context, repositories, refs) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const result = await transaction
          .deleteFrom('protected_refs')
          .where('repository_pattern', '=', repositories)
          .where('ref_pattern', '=', refs)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        await moveSecurityEpoch(transaction)
        await change.record({ action: 'protection.removed', target: targetOf({ repositories, refs }) })
        return true
      }),

    list: () => queries.selectFrom('protected_refs').select(COLUMNS).orderBy('id').execute(),

    listFor: (repository) =>
      queries
        .selectFrom('protected_refs')
        .select(COLUMNS)
        .where((eb) => eb.or([isPattern(repository), sql<SqlBool>`instr(repository_pattern, '*') > 0`]))
        .orderBy('id')
        .execute(),
  }
}

/** Paths are ASCII, the letters of which are all that NOCASE knows. */
function isPattern(repositories: string) {
  return sql<SqlBool>`repository_pattern = ${repositories} COLLATE NOCASE`
}

/** @throws GitgateError `conflict` where there is no place for one more */
async function requireBelowLimit(transaction: Queries, repositories: string, refs: string): Promise<void> {
  const { others, isThere } = await transaction
    .selectFrom('protected_refs')
    .select((eb) => [
      eb.fn.countAll<number>().as('others'),
      eb.fn
        .countAll<number>()
        .filterWhere('repository_pattern', '=', repositories)
        .filterWhere('ref_pattern', '=', refs)
        .as('isThere'),
    ])
    .where(isPattern(repositories))
    .executeTakeFirstOrThrow()
  if (isThere > 0 || others < MAX_PROTECTIONS) return
  throw new GitgateError(
    'conflict',
    `repository pattern "${repositories}" has ${others} protected refs; the limit is ${MAX_PROTECTIONS}, so remove one first`,
  )
}

function targetOf({ repositories, refs }: { readonly repositories: string; readonly refs: string }): string {
  return `protection:${repositories} ${refs}`
}
