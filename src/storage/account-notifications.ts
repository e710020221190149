import type { AccountNotificationKind } from '../domain/notifications/notification.js'
import { addNotification } from './notification-outbox.js'
import { notificationActor } from './notification-row.js'
import type { Change } from './audited-changes.js'

/** Has a person told that something was changed about how their account is signed in to. */
export async function notifyAccountChange(
  { transaction, actor, at }: Change,
  accountId: number,
  kind: AccountNotificationKind,
): Promise<void> {
  const account = await transaction
    .selectFrom('accounts')
    .select(['username', 'email'])
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (account === undefined) return
  await addNotification(transaction, {
    accountId,
    payload: { kind, by: notificationActor(actor, account.username), at, to: account.email },
    at,
  })
}
