import type { News, NoticeKind } from '../domain/notifications/notice.js'
import type { Queries } from './database.js'
import { factsOf, kindsOffFrom } from './notice-row.js'

/** How an account can be told something. */
export type Reach = { readonly mail: boolean; readonly webhooks: readonly number[] }

/**
 * By which ways an account is to be told something.
 *
 * @returns `undefined` where it is not to be told, or can't be: it is blocked, does not want to know, or has no way
 */
export async function findReach(transaction: Queries, accountId: number, kind: NoticeKind): Promise<Reach | undefined> {
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
  const reach = { mail: account.email !== null, webhooks: webhooks.map(({ id }) => id) }
  return reach.mail || reach.webhooks.length > 0 ? reach : undefined
}

/** A notice to be sent. */
export type NewNotice = {
  readonly accountId: number
  readonly news: News
  readonly at: Date
  /** @default at once */
  readonly dueAt?: Date
  /** The token that a notice of new addresses is about. */
  readonly tokenId?: number
}

/**
 * Writes a notice and a delivery for each of its ways, as a part of the transaction that it tells about: either both are
 * kept, or neither.
 *
 * @returns whether the account is to be told
 */
export async function addNotice(
  transaction: Queries,
  { accountId, news, at, dueAt = at, tokenId }: NewNotice,
): Promise<boolean> {
  const reach = await findReach(transaction, accountId, news.kind)
  if (reach === undefined) return false
  const { id } = await transaction
    .insertInto('notices')
    .values({
      kind: news.kind,
      account_id: accountId,
      token_id: tokenId ?? null,
      facts: factsOf(news),
      created_at: at.getTime(),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const ways = [...(reach.mail ? [null] : []), ...reach.webhooks]
  await transaction
    .insertInto('deliveries')
    .values(ways.map((webhook_id) => ({ notice_id: id, webhook_id, due_at: dueAt.getTime() })))
    .execute()
  return true
}

/**
 * Deletes the notices that have arrived by all their ways, or have none left.
 *
 * @param id only this one, if it has
 */
export async function dropUndelivered(transaction: Queries, id?: number): Promise<void> {
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
