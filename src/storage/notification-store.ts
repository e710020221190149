import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { HOUR } from '../core/clock.js'
import type { Delivery, NotificationStore, Wanted } from '../domain/notifications/delivery.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { addExpiryNotifications, deleteDelivered, kindsOffFrom, parsePayload } from './notification-outbox.js'
import type { Schema } from './database-schema.js'
import type { Sealer } from './seal.js'
import type { AuditedChanges } from './audited-changes.js'
import { openWebhookSecret } from './webhook-store.js'

// No delivery is due, or leased, for more than an hour ahead. A later time was written by a clock that was ahead.
const MAX_WAIT_MS = 2 * HOUR

/** The outbox in the database. */
export function notificationStore(queries: Queries, sealer: Sealer, changes: AuditedChanges): NotificationStore {
  return {
    // A token that ends in this very millisecond has expired.
    addExpiring: (now, until) =>
      addExpiryNotifications(changes, 'expiring', { from: new Date(now.getTime() + 1), until }, now),
    addExpired: (since, now) =>
      addExpiryNotifications(changes, 'expired', { from: since, until: new Date(now.getTime() + 1) }, now),

    async take(wanted) {
      // Looking needs no lock, and mostly there is nothing to take.
      if ((await findTakeable(queries, { ...wanted, limit: 1 })).length === 0) return []
      return await changes.write(async (transaction) => {
        const ids = await findTakeable(transaction, wanted)
        await transaction
          .updateTable('deliveries')
          .set({ leased_until: wanted.leasedUntil.getTime() })
          .where('id', 'in', ids)
          .execute()
        return await readDeliveries(transaction, ids, wanted.leasedUntil, sealer)
      })
    },

    finish: (delivery) =>
      changes.write(async (transaction) => {
        const { id, leasedUntil, notification } = delivery
        // A gate whose lease has ended must not delete the delivery of another.
        await transaction
          .deleteFrom('deliveries')
          .where('id', '=', id)
          .where('leased_until', '=', leasedUntil.getTime())
          .execute()
        await deleteDelivered(transaction, notification.id)
      }),

    postpone: ({ id, attempts, leasedUntil }, error, now, dueAt) =>
      changes.write(async (transaction) => {
        await transaction
          .updateTable('deliveries')
          .set({
            due_at: dueAt.getTime(),
            attempts: attempts + 1,
            tried_at: now.getTime(),
            leased_until: null,
            last_error: error,
          })
          .where('id', '=', id)
          .where('leased_until', '=', leasedUntil.getTime())
          .execute()
      }),

    release: ({ id, leasedUntil }) =>
      changes.write(async (transaction) => {
        await transaction
          .updateTable('deliveries')
          .set({ leased_until: null })
          .where('id', '=', id)
          .where('leased_until', '=', leasedUntil.getTime())
          .execute()
      }),

    async countLeased(now) {
      const query = queries
        .selectFrom('deliveries')
        .where('leased_until', '>', now.getTime())
        .where('leased_until', '<=', now.getTime() + MAX_WAIT_MS)
      return (await query.select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()).count
    },

    async failedSince(since) {
      const failed = queries.selectFrom('deliveries').where('tried_at', '>=', since.getTime())
      const { count } = await failed.select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
      const last = await failed.select('last_error').orderBy('tried_at', 'desc').limit(1).executeTakeFirst()
      return { count, lastError: last?.last_error ?? null }
    },

    async waiting() {
      const { count, webhooks } = await queries
        .selectFrom('deliveries')
        .select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.count<number>('webhook_id').as('webhooks')])
        .executeTakeFirstOrThrow()
      const failed = queries.selectFrom('deliveries').select('last_error').where('last_error', 'is not', null)
      const last = await failed.orderBy('tried_at', 'desc').limit(1).executeTakeFirst()
      return { count, mails: count - webhooks, lastError: last?.last_error ?? null }
    },

    dropMails: (before) =>
      changes.write(async (transaction) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('deliveries')
          .where('webhook_id', 'is', null)
          .where('notice_id', 'in', (eb) =>
            eb.selectFrom('notices').select('id').where('created_at', '<', before.getTime()),
          )
          .executeTakeFirst()
        await deleteDelivered(transaction)
        return Number(numDeletedRows)
      }),

    async kindsOff(accountId) {
      const query = queries.selectFrom('accounts').select('notices_off').where('id', '=', accountId)
      return kindsOffFrom(await query.executeTakeFirstOrThrow())
    },

    setKindsOff: (context, accountId, kinds) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        await transaction
          .updateTable('accounts')
          .set({ notices_off: JSON.stringify(kinds) })
          .where('id', '=', accountId)
          .execute()
        const target = await userTarget(transaction, accountId)
        await change.record({ action: 'user.notices_changed', target, details: { off: kinds } })
      }),
  }
}

async function findTakeable(queries: Queries, wanted: Wanted): Promise<number[]> {
  const rows = await queries
    .selectFrom('deliveries')
    .select('id')
    .where((eb) => eb.and(conditions(eb, wanted)))
    .orderBy('due_at')
    .orderBy('id')
    .limit(wanted.limit)
    .execute()
  return rows.map(({ id }) => id)
}

function conditions(
  eb: ExpressionBuilder<Schema, 'deliveries'>,
  { now, mail, failedBefore }: Wanted,
): Expression<SqlBool>[] {
  const latest = now.getTime() + MAX_WAIT_MS
  const isDue = eb.or([eb('due_at', '<=', now.getTime()), eb('due_at', '>', latest)])
  return [
    failedBefore === undefined ? isDue : eb.or([isDue, eb('tried_at', '<', failedBefore.getTime())]),
    eb.or([eb('leased_until', 'is', null), eb('leased_until', '<=', now.getTime()), eb('leased_until', '>', latest)]),
    ...(mail ? [] : [eb('webhook_id', 'is not', null)]),
  ]
}

async function readDeliveries(
  transaction: Queries,
  ids: readonly number[],
  leasedUntil: Date,
  sealer: Sealer,
): Promise<Delivery[]> {
  const rows = await transaction
    .selectFrom('deliveries as delivery')
    .innerJoin('notices as notice', 'notice.id', 'delivery.notice_id')
    .innerJoin('accounts as account', 'account.id', 'notice.account_id')
    .leftJoin('webhooks as webhook', 'webhook.id', 'delivery.webhook_id')
    .select(['delivery.id', 'delivery.attempts', 'delivery.notice_id'])
    .select(['notice.kind', 'notice.facts', 'notice.created_at', 'notice.account_id'])
    .select(['account.username', 'account.name', 'account.email', 'account.state', 'account.notices_off'])
    .select(['webhook.id as webhook_id', 'webhook.url', 'webhook.sealed_secret'])
    .where('delivery.id', 'in', ids)
    .orderBy('delivery.due_at')
    .orderBy('delivery.id')
    .execute()
  return rows.map((row) => ({
    id: row.id,
    attempts: row.attempts,
    leasedUntil,
    channel:
      row.webhook_id === null || row.url === null || row.sealed_secret === null
        ? { kind: 'mail' }
        : {
            kind: 'webhook',
            id: row.webhook_id,
            url: row.url,
            secret: openWebhookSecret(sealer, row.webhook_id, row.sealed_secret),
          },
    notification: {
      id: row.notice_id,
      createdAt: new Date(row.created_at),
      payload: parsePayload(row),
      recipient: {
        id: row.account_id,
        username: row.username,
        name: row.name,
        email: row.email,
        state: row.state,
        off: kindsOffFrom(row),
      },
    },
  }))
}
