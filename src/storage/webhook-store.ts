import type { Selectable } from 'kysely'
import type { Webhook, WebhookStore } from '../domain/notifications/webhook.js'
import type { Secret } from '../core/secret.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { deleteDelivered } from './notification-outbox.js'
import type { Schema } from './database-schema.js'
import type { Sealer } from './seal.js'
import type { AuditedChanges } from './audited-changes.js'

/** Webhooks in the database; their secrets are sealed. */
export function webhookStore(queries: Queries, sealer: Sealer, changes: AuditedChanges): WebhookStore {
  return {
    add: (context, accountId, url, secret, now) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const values = { account_id: accountId, url, sealed_secret: '', created_at: now.getTime() }
        const row = await transaction.insertInto('webhooks').values(values).returningAll().executeTakeFirstOrThrow()
        await transaction
          .updateTable('webhooks')
          .set({ sealed_secret: sealer.seal(secret, purposeOf(row.id)) })
          .where('id', '=', row.id)
          .execute()
        const user = accountId === null ? null : await userTarget(transaction, accountId)
        await change.record({
          action: 'webhook.set',
          target: `webhook:${row.id}`,
          details: { to: originOf(url), user },
        })
        return webhookFrom(row)
      }),

    async find(id) {
      const row = await queries.selectFrom('webhooks').selectAll().where('id', '=', id).executeTakeFirst()
      if (row === undefined) return undefined
      return { ...webhookFrom(row), secret: openWebhookSecret(sealer, id, row.sealed_secret) }
    },

    async list() {
      const rows = await queries.selectFrom('webhooks').selectAll().orderBy('id').execute()
      return rows.map(webhookFrom)
    },

    remove: (context, id) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const row = await transaction.deleteFrom('webhooks').where('id', '=', id).returningAll().executeTakeFirst()
        if (row === undefined) return false
        await deleteDelivered(transaction)
        const user = row.account_id === null ? null : await userTarget(transaction, row.account_id)
        const details = { to: originOf(row.url), user }
        await change.record({ action: 'webhook.removed', target: `webhook:${id}`, details })
        return true
      }),
  }
}

/** Opens the sealed secret of a webhook. */
export function openWebhookSecret(sealer: Sealer, id: number, sealed: string): Secret {
  return sealer.open(sealed, purposeOf(id), 'webhook secret')
}

function purposeOf(id: number): string {
  return `webhook secret of ${id}`
}

function webhookFrom(row: Selectable<Schema['webhooks']>): Webhook {
  return { id: row.id, accountId: row.account_id, url: row.url, createdAt: new Date(row.created_at) }
}

/** Where a webhook goes, as the audit log names it: in the rest of a URL there may be a secret. */
export function originOf(url: string): string {
  return new URL(url).origin
}
