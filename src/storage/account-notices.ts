import type { AccountNoticeKind } from '../domain/notifications/notice.js'
import type { Queries } from './database.js'
import { addNotice } from './notice-outbox.js'
import { byActor } from './notice-row.js'
import type { Trail } from './audit-context.js'

/** Has a person told that something was changed about how their account is signed in to. */
export async function noticeAccountChange(
  transaction: Queries,
  accountId: number,
  kind: AccountNoticeKind,
  trail: Trail,
): Promise<void> {
  const account = await transaction
    .selectFrom('accounts')
    .select(['username', 'email'])
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (account === undefined) return
  const at = trail.clock()
  await addNotice(transaction, {
    accountId,
    news: { kind, by: byActor(trail, account.username), at, to: account.email },
    at,
  })
}
