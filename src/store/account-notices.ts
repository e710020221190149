import type { AccountNews } from '../notices/notice.js'
import type { Queries } from './database.js'
import { addNotice } from './notice-outbox.js'
import { byActor } from './notice-row.js'
import type { Trail } from './trail.js'

type Happening<N = AccountNews> = N extends unknown ? Omit<N, 'by' | 'at'> : never

/** Has a person told that something was changed about how their account is signed in to. */
export async function noticeAccountChange(
  transaction: Queries,
  accountId: number,
  happening: Happening,
  trail: Trail,
): Promise<void> {
  const account = await transaction
    .selectFrom('accounts')
    .select('username')
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (account === undefined) return
  const at = trail.clock()
  await addNotice(transaction, { accountId, news: { ...happening, by: byActor(trail, account.username), at }, at })
}
