import type { GrantStore } from '../access/grant.js'
import type { Queries } from './database.js'
import { atomically, moveSecurityEpoch } from './database.js'
import type { Trail } from './trail.js'

const COLUMNS = ['id', 'subject', 'role', 'pattern'] as const

/** Grants in the database. */
export function grantStore(queries: Queries, trail: Trail): GrantStore {
  const select = () => queries.selectFrom('grants').select(COLUMNS)

  return {
    put: (grant, now) =>
      atomically(queries, async (transaction) => {
        const before = await transaction
          .selectFrom('grants')
          .select('role')
          .where('subject', '=', grant.subject)
          .where('pattern', '=', grant.pattern)
          .executeTakeFirst()
        const row = await transaction
          .insertInto('grants')
          .values({ ...grant, created_at: now.getTime() })
          .onConflict((conflict) => conflict.columns(['subject', 'pattern']).doUpdateSet({ role: grant.role }))
          .returning(COLUMNS)
          .executeTakeFirstOrThrow()
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, {
          action: 'grant.set',
          target: targetOf(row),
          details: { from: before?.role ?? null, to: row.role },
        })
        return row
      }),

    remove: (subject, pattern) =>
      atomically(queries, async (transaction) => {
        const result = await transaction
          .deleteFrom('grants')
          .where('subject', '=', subject)
          .where('pattern', '=', pattern)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, { action: 'grant.removed', target: targetOf({ subject, pattern }) })
        return true
      }),

    list: () => select().orderBy('pattern').orderBy('subject').execute(),

    listFor: (subjects) =>
      select()
        .where(
          'subject',
          'in',
          subjects.map((subject) => subject.toLowerCase()),
        )
        .orderBy('id')
        .execute(),
  }
}

function targetOf({ subject, pattern }: { readonly subject: string; readonly pattern: string }): string {
  return `grant:${subject} ${pattern}`
}
