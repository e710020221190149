import type { AccountNotificationKind } from '../domain/notifications/notification.js'
import type { Queries } from './database.js'
import { addNotification } from './notification-outbox.js'
import { notificationActor } from './notification-row.js'
import type { Trail } from './audit-context.js'

/** Has a person told that something was changed about how their account is signed in to. */
export async function notifyAccountChange(
  transaction: Queries,
  accountId: number,
  kind: AccountNotificationKind,
  trail: Trail,
): Promise<void> {
  const account = await transaction
    .selectFrom('accounts')
    .select(['username', 'email'])
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (account === undefined) return
  const at = trail.clock()
  await addNotification(transaction, {
    accountId,
    payload: { kind, by: notificationActor(trail, account.username), at, to: account.email },
    at,
  })
}
