import type { SqlBool } from 'kysely'
import { sql } from 'kysely'
import type { GrantStore } from '../domain/access/grant.js'
import type { Queries } from './database.js'
import { moveSecurityEpoch } from './database.js'
import type { AuditedChanges } from './audited-changes.js'

const COLUMNS = ['id', 'subject', 'role', 'pattern'] as const

/** Grants in the database. */
export function grantStore(queries: Queries, changes: AuditedChanges): GrantStore {
  const select = () => queries.selectFrom('grants').select(COLUMNS)

  return {
    put: (context, grant, now) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
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
        await change.record({
          action: 'grant.set',
          target: targetOf(row),
          details: { from: before?.role ?? null, to: row.role },
        })
        return row
      }),

    remove: (context, subject, pattern) =>
      changes.revoke(context, async (change) => {
        const { transaction } = change
        const result = await transaction
          .deleteFrom('grants')
          .where('subject', '=', subject)
          .where('pattern', '=', pattern)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        await moveSecurityEpoch(transaction)
        await change.record({ action: 'grant.removed', target: targetOf({ subject, pattern }) })
        return true
      }),

    list: () => select().orderBy('pattern').orderBy('subject').execute(),

    async search(text, { offset, limit }) {
      // instr and not LIKE: a search for a_b finds that. A line break stands in neither.
      const isFound = sql<SqlBool>`instr(lower(subject || char(10) || pattern), ${text.toLowerCase()}) > 0`
      const query = text === '' ? queries.selectFrom('grants') : queries.selectFrom('grants').where(isFound)
      const { total } = await query.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow()
      const page = query.select(COLUMNS).orderBy('pattern').orderBy('subject').offset(offset).limit(limit)
      return { grants: await page.execute(), total }
    },

    find: (subject, pattern) =>
      select().where('subject', '=', subject).where('pattern', '=', pattern).executeTakeFirst(),

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
