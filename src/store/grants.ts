import type { GrantStore } from '../access/grant.js'
import type { Queries } from './database.js'
import { atomically, moveSecurityEpoch } from './database.js'

const COLUMNS = ['id', 'subject', 'role', 'pattern'] as const

/** Grants in the database. */
export function grantStore(queries: Queries): GrantStore {
  const select = () => queries.selectFrom('grants').select(COLUMNS)

  return {
    put: (grant, now) =>
      atomically(queries, async (transaction) => {
        const row = await transaction
          .insertInto('grants')
          .values({ ...grant, created_at: now.getTime() })
          .onConflict((conflict) => conflict.columns(['subject', 'pattern']).doUpdateSet({ role: grant.role }))
          .returning(COLUMNS)
          .executeTakeFirstOrThrow()
        await moveSecurityEpoch(transaction)
        return row
      }),

    remove: (subject, pattern) =>
      atomically(queries, async (transaction) => {
        const result = await transaction
          .deleteFrom('grants')
          .where('subject', '=', subject)
          .where('pattern', '=', pattern)
          .executeTakeFirst()
        await moveSecurityEpoch(transaction)
        return result.numDeletedRows === 1n
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
