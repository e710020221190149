import type { Selectable } from 'kysely'
import type { NewSession, Session, SessionHorizon, SessionStore } from '../domain/accounts/session.js'
import { HAS_TWO_FACTOR, userTarget } from './account-store.js'
import type { Queries } from './database.js'
import type { Schema } from './database-schema.js'
import type { Sealer } from './seal.js'
import type { AuditedChanges } from './audited-changes.js'
import { withoutAuthority } from './audited-changes.js'

/** Sessions in the database: digests of their secrets, and their encrypted state. */
export function sessionStore(queries: Queries, sealer: Sealer, changes: AuditedChanges): SessionStore {
  // Encrypted states are bound to this text.
  const purposeOf = (id: number): string => `memo of session ${id}`
  const readState = async (from: Queries, id: number) => {
    const row = await from.selectFrom('sessions').select('sealed_memo').where('id', '=', id).executeTakeFirst()
    const sealed = row?.sealed_memo ?? undefined
    return sealed === undefined ? undefined : sealer.open(sealed, purposeOf(id), 'session state')
  }
  return {
    start: (context, session, horizon) =>
      changes.apply(withoutAuthority(context), async (change) => {
        const { transaction } = change
        await forgetOver(transaction, horizon)
        const now = change.at.getTime()
        const { account, digest, ip, userAgent, signedInBy, completes } = session
        if (!(await isUnchanged(transaction, account))) return undefined
        if (completes !== null) {
          const half = transaction
            .deleteFrom('sessions')
            .where('id', '=', completes)
            .where('account_id', '=', account.id)
          if ((await half.where('signed_in_by', 'is', null).executeTakeFirst()).numDeletedRows === 0n) return undefined
        }
        const row = await transaction
          .insertInto('sessions')
          .values({
            account_id: account.id,
            digest: digest.reveal(),
            created_at: now,
            last_seen_at: now,
            ip,
            user_agent: userAgent,
            signed_in_by: signedInBy,
            sealed_memo: null,
          })
          .returningAll()
          .executeTakeFirstOrThrow()
        if (signedInBy !== null)
          await change.record({
            action: 'session.started',
            target: await userTarget(transaction, account.id),
            details: { session: row.id, by: signedInBy },
          })
        return sessionFrom(row)
      }),

    async findByDigest(digest) {
      const query = queries.selectFrom('sessions').selectAll().where('digest', '=', digest.reveal())
      const row = await query.executeTakeFirst()
      return row === undefined ? undefined : sessionFrom(row)
    },

    async list(accountId) {
      const rows = await queries
        .selectFrom('sessions')
        .selectAll()
        .where('account_id', '=', accountId)
        .where('signed_in_by', 'is not', null)
        .orderBy('last_seen_at', 'desc')
        .orderBy('id', 'desc')
        .execute()
      return rows.map(sessionFrom)
    },

    touch: (id, ip, now) =>
      changes.write(async (transaction) => {
        const seen = { last_seen_at: now.getTime(), ip }
        await transaction.updateTable('sessions').set(seen).where('id', '=', id).execute()
      }),

    end: (context, accountId, id) =>
      changes.revoke(withoutAuthority(context), async (change) => {
        const { transaction } = change
        const ended = await transaction
          .deleteFrom('sessions')
          .where('id', '=', id)
          .where('account_id', '=', accountId)
          .returning('signed_in_by')
          .executeTakeFirst()
        if (ended === undefined) return false
        if (ended.signed_in_by !== null)
          await change.record({
            action: 'session.ended',
            target: await userTarget(transaction, accountId),
            details: { session: id },
          })
        return true
      }),

    endOthers: (context, accountId, id) =>
      changes.revoke(context, async (change) => {
        const { transaction } = change
        const ended = await transaction
          .deleteFrom('sessions')
          .where('id', '!=', id)
          .where('account_id', '=', accountId)
          .returning('id')
          .execute()
        if (ended.length > 0)
          await change.record({
            action: 'session.ended',
            target: await userTarget(transaction, accountId),
            details: { sessions: ended.map((row) => row.id) },
          })
        return ended.length
      }),

    readState: (id) => readState(queries, id),

    changeState: (id, change) =>
      changes.write(async (transaction) => {
        const state = change(await readState(transaction, id))
        await transaction
          .updateTable('sessions')
          .set({ sealed_memo: state === undefined ? null : sealer.seal(state, purposeOf(id)) })
          .where('id', '=', id)
          .execute()
      }),
  }
}

/** Whether nothing has changed about how an account signs in. */
async function isUnchanged(transaction: Queries, account: NewSession['account']): Promise<boolean> {
  const row = await transaction
    .selectFrom('accounts')
    .select(['state', 'password_hash', HAS_TWO_FACTOR.as('two_factor_enabled')])
    .where('id', '=', account.id)
    .executeTakeFirst()
  return (
    row?.state === 'active' &&
    row.password_hash === (account.passwordHash?.reveal() ?? null) &&
    (row.two_factor_enabled === 1) === account.twoFactorEnabled
  )
}

async function forgetOver(transaction: Queries, { begun, seen, half }: SessionHorizon): Promise<void> {
  await transaction
    .deleteFrom('sessions')
    .where((where) =>
      where.or([
        where('created_at', '<=', begun),
        where('last_seen_at', '<=', seen),
        where.and([where('signed_in_by', 'is', null), where('created_at', '<=', half)]),
      ]),
    )
    .execute()
}

function sessionFrom(row: Selectable<Schema['sessions']>): Session {
  return {
    id: row.id,
    accountId: row.account_id,
    createdAt: new Date(row.created_at),
    lastSeenAt: new Date(row.last_seen_at),
    ip: row.ip,
    userAgent: row.user_agent,
    signedInBy: row.signed_in_by,
  }
}
