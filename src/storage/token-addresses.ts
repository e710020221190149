import { HOUR } from '../core/clock.js'
import type { NotificationPayload } from '../domain/notifications/notification.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { TokenUse } from '../domain/tokens/store.js'
import type { Queries } from './database.js'
import { addNotification, serializePayload, parsePayload, notificationToken } from './notification-outbox.js'
import { isOwnerNotified } from './token-changes.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'

/** Known addresses kept for a token; beyond them the oldest is forgotten. */
const MAX_KNOWN_ADDRESSES = 1_000
/** Addresses listed in one notification; the others are counted. */
const MAX_LISTED_ADDRESSES = 100
/** The least time between two notifications of new addresses of one token. */
const NEW_ADDRESS_INTERVAL_MS = HOUR

/**
 * Records the address that a token is used from, and notifies the owner of a new one. The use of a derived token counts as a use of
 * its parent.
 */
export async function recordAddress(transaction: Queries, use: TokenUse): Promise<void> {
  const token = await findSubject(transaction, use.tokenId)
  if (token === undefined || !(await isNew(transaction, token.id, use))) return
  if (!isOwnerNotified(token) || (await joinWaiting(transaction, token, use))) return
  const dueAt = new Date(Math.max(use.at.getTime(), (token.notifiedAt ?? -Infinity) + NEW_ADDRESS_INTERVAL_MS))
  const payload: NotificationPayload = {
    kind: 'new-address',
    token: notificationToken(token),
    addresses: [{ ip: use.ip, at: use.at }],
    more: 0,
  }
  const notification = { accountId: token.userId, payload, at: use.at, dueAt, tokenId: token.id }
  if (!(await addNotification(transaction, notification))) return
  await transaction
    .updateTable('personal_access_tokens')
    .set({ address_noticed_at: dueAt.getTime() })
    .where('id', '=', token.id)
    .execute()
}

/** Copies the known addresses of a token to its successor, so that they don't count as new. */
export async function inheritAddresses(transaction: Queries, from: number, to: number): Promise<void> {
  await transaction
    .insertInto('token_addresses')
    .columns(['token_id', 'ip', 'first_used_at'])
    .expression((eb) =>
      eb
        .selectFrom('token_addresses')
        .select((eb) => [eb.val(to).as('token_id'), 'ip', 'first_used_at'])
        .where('token_id', '=', from),
    )
    .execute()
}

type Subject = PersonalAccessToken & { readonly notifiedAt: number | null }

async function findSubject(transaction: Queries, id: number): Promise<Subject | undefined> {
  const row = await transaction
    .selectFrom('personal_access_tokens')
    .select([...TOKEN_COLUMNS, 'address_noticed_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) return undefined
  // A parent is never derived itself.
  return row.parent_id === null
    ? { ...tokenFrom(row), notifiedAt: row.address_noticed_at }
    : await findSubject(transaction, row.parent_id)
}

async function isNew(transaction: Queries, tokenId: number, { ip, at }: TokenUse): Promise<boolean> {
  const { numInsertedOrUpdatedRows: inserted = 0n } = await transaction
    .insertInto('token_addresses')
    .values({ token_id: tokenId, ip, first_used_at: at.getTime() })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  if (inserted === 0n) return false
  const known = transaction.selectFrom('token_addresses').select('ip').where('token_id', '=', tokenId)
  await transaction
    .deleteFrom('token_addresses')
    .where('token_id', '=', tokenId)
    // SQLite takes an offset only with a limit; a negative one is none.
    .where('ip', 'in', known.orderBy('first_used_at', 'desc').limit(-1).offset(MAX_KNOWN_ADDRESSES))
    .execute()
  return true
}

/** Adds an address to a notification that isn't due yet and wasn't tried on any channel. @returns false if there is none */
async function joinWaiting(transaction: Queries, token: PersonalAccessToken, use: TokenUse): Promise<boolean> {
  const waiting = await transaction
    .selectFrom('notices')
    .select(['id', 'kind', 'facts'])
    .where('token_id', '=', token.id)
    .where('id', 'not in', (eb) =>
      eb
        .selectFrom('deliveries')
        .select('notice_id')
        .where((eb) =>
          eb.or([eb('leased_until', 'is not', null), eb('attempts', '>', 0), eb('due_at', '<=', use.at.getTime())]),
        ),
    )
    .executeTakeFirst()
  if (waiting === undefined) return false
  const payload = parsePayload(waiting)
  if (payload.kind !== 'new-address') return false
  const isFull = payload.addresses.length >= MAX_LISTED_ADDRESSES
  const addresses = isFull ? payload.addresses : [...payload.addresses, { ip: use.ip, at: use.at }]
  await transaction
    .updateTable('notices')
    .set({ facts: serializePayload({ ...payload, addresses, more: payload.more + (isFull ? 1 : 0) }) })
    .where('id', '=', waiting.id)
    .execute()
  return true
}
