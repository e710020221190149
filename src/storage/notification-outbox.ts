import type { NotificationPayload, NotificationKind } from '../domain/notifications/notification.js'
import type { Queries } from './database.js'
import { serializePayload, kindsOffFrom } from './notification-row.js'

/** The channels of an account: whether it has an address, and the IDs of its webhooks. */
export type AccountChannels = { readonly mail: boolean; readonly webhooks: readonly number[] }

/**
 * Finds the channels on which an account gets notifications of a kind.
 *
 * @returns `undefined` if there are none: the account is blocked, turned the kind off, or has neither an address nor a webhook
 */
export async function findChannels(
  transaction: Queries,
  accountId: number,
  kind: NotificationKind,
): Promise<AccountChannels | undefined> {
  const account = await transaction
    .selectFrom('accounts')
    .select(['state', 'email', 'notices_off'])
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (account?.state !== 'active' || kindsOffFrom(account).includes(kind)) return undefined
  const webhooks = await transaction
    .selectFrom('webhooks')
    .select('id')
    .where((eb) => eb.or([eb('account_id', 'is', null), eb('account_id', '=', accountId)]))
    .execute()
  const channels = { mail: account.email !== null, webhooks: webhooks.map(({ id }) => id) }
  return channels.mail || channels.webhooks.length > 0 ? channels : undefined
}

/** A notification to be sent. */
export type NewNotification = {
  readonly accountId: number
  readonly payload: NotificationPayload
  readonly at: Date
  /** @default at once */
  readonly dueAt?: Date
  /** The token that a notification of new addresses is about. */
  readonly tokenId?: number
}

/**
 * Writes a notification, with one delivery for each channel, in the transaction of the change that it reports, so that neither
 * is stored without the other.
 *
 * @returns whether the account has a channel for it
 */
export async function addNotification(
  transaction: Queries,
  { accountId, payload, at, dueAt = at, tokenId }: NewNotification,
): Promise<boolean> {
  const channels = await findChannels(transaction, accountId, payload.kind)
  if (channels === undefined) return false
  const { id } = await transaction
    .insertInto('notices')
    .values({
      kind: payload.kind,
      account_id: accountId,
      token_id: tokenId ?? null,
      facts: serializePayload(payload),
      created_at: at.getTime(),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  // A delivery without a webhook is a mail.
  const webhookIds = [...(channels.mail ? [null] : []), ...channels.webhooks]
  await transaction
    .insertInto('deliveries')
    .values(webhookIds.map((webhook_id) => ({ notice_id: id, webhook_id, due_at: dueAt.getTime() })))
    .execute()
  return true
}

/**
 * Deletes notifications without deliveries left.
 *
 * @param id checks only this one
 */
export async function deleteDelivered(transaction: Queries, id?: number): Promise<void> {
  const empty = transaction
    .deleteFrom('notices')
    .where((eb) =>
      eb.not(
        eb.exists(
          eb.selectFrom('deliveries').select('deliveries.id').whereRef('deliveries.notice_id', '=', 'notices.id'),
        ),
      ),
    )
  await (id === undefined ? empty : empty.where('id', '=', id)).execute()
}
