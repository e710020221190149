import type {
  NotificationPayload,
  NotificationKind,
  NotificationActor,
  NotificationToken,
  AccountNotificationKind,
} from '../domain/notifications/notification.js'
import type { Queries } from './database.js'
import type { Selectable } from 'kysely'
import type { Actor } from '../domain/audit/event.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { Schema } from './database-schema.js'
import type { AuditedChanges, Change } from './audited-changes.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'

/** The channels of an account: whether it has an address, and the IDs of its webhooks. */
type AccountChannels = { readonly mail: boolean; readonly webhooks: readonly number[] }

/**
 * Finds the channels on which an account gets notifications of a kind.
 *
 * @returns `undefined` if there are none: the account is blocked, turned the kind off, or has neither an address nor a webhook
 */
async function findChannels(
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

/** A payload as stored: JSON without the kind, which has its own column. */
export function serializePayload(payload: NotificationPayload): string {
  return JSON.stringify({ ...payload, kind: undefined })
}

/** Reads a payload from its row. */
export function parsePayload({
  kind,
  facts,
}: Pick<Selectable<Schema['notices']>, 'kind' | 'facts'>): NotificationPayload {
  return { kind, ...(JSON.parse(facts, revive) as object) } as NotificationPayload
}

const INSTANTS = new Set(['at', 'createdAt', 'expiresAt', 'lastUsedAt', 'endsAt'])

function revive(key: string, value: unknown): unknown {
  return INSTANTS.has(key) && typeof value === 'string' ? new Date(value) : value
}

/** Reads the kinds that an account turned off. */
export function kindsOffFrom({ notices_off }: Pick<Selectable<Schema['accounts']>, 'notices_off'>): NotificationKind[] {
  return JSON.parse(notices_off) as NotificationKind[]
}

/** A token as notifications show it. */
export function notificationToken(token: PersonalAccessToken): NotificationToken {
  const { id, name, description, scopes, createdAt, expiresAt, lastUsedAt } = token
  return { id, name, description, scopes, createdAt, expiresAt, lastUsedAt }
}

/** Who makes a change, as its notification names them. @param owner username of the recipient */
export function notificationActor(actor: Actor, owner: string): NotificationActor {
  if (actor.impersonator !== null) return { kind: 'account', name: actor.impersonator }
  if (actor.username === owner) return { kind: 'owner', ip: actor.ip }
  if (actor.username !== null) return { kind: 'account', name: actor.username }
  if (actor.operator !== null) return { kind: 'operator', name: actor.operator }
  return { kind: 'gate' }
}

/** Notifies a user of a change to how their account signs in. */
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

/** Tokens listed in one notification; the others are counted. */
const MAX_LISTED_TOKENS = 100

const NOTIFIED_AT_COLUMNS = { expiring: 'expiring_noticed_at', expired: 'expired_noticed_at' } as const

/**
 * Writes one notification for each owner of tokens that expire from `from` until before `until`, and marks the tokens in the same
 * transaction, so that running it twice, or in two gates, writes one.
 *
 * @returns how many notifications
 */
export function addExpiryNotifications(
  changes: AuditedChanges,
  kind: 'expiring' | 'expired',
  { from, until }: { readonly from: Date; readonly until: Date },
  now: Date,
): Promise<number> {
  return changes.write(async (transaction) => {
    let written = 0
    for (const [accountId, tokens] of await findTokensToNotify(transaction, kind, from, until, now)) {
      if ((await findChannels(transaction, accountId, kind)) === undefined) continue
      const named = tokens.slice(0, MAX_LISTED_TOKENS).map(notificationToken)
      const payload = { kind, tokens: named, more: tokens.length - named.length }
      await addNotification(transaction, { accountId, payload, at: now })
      for (const { id } of tokens) await markNotified(transaction, kind, id, now)
      written += 1
    }
    return written
  })
}

async function findTokensToNotify(
  transaction: Queries,
  kind: 'expiring' | 'expired',
  from: Date,
  until: Date,
  now: Date,
): Promise<Map<number, PersonalAccessToken[]>> {
  const rows = await transaction
    .selectFrom('personal_access_tokens')
    .select(TOKEN_COLUMNS)
    .where('expires_at', '>=', from.getTime())
    .where('expires_at', '<', until.getTime())
    .where('revoked_at', 'is', null)
    // A mark in the future was set by a wrong clock: the owner is notified again at the right time.
    .where((eb) =>
      eb.or([eb(NOTIFIED_AT_COLUMNS[kind], 'is', null), eb(NOTIFIED_AT_COLUMNS[kind], '>', now.getTime())]),
    )
    // As `isOwnerNotified` in token-changes.ts.
    .where('impersonation', '=', 0)
    .where('parent_id', 'is', null)
    .orderBy('expires_at')
    .orderBy('id')
    .execute()
  const byOwner = new Map<number, PersonalAccessToken[]>()
  for (const token of rows.map(tokenFrom)) byOwner.set(token.userId, [...(byOwner.get(token.userId) ?? []), token])
  return byOwner
}

async function markNotified(transaction: Queries, kind: 'expiring' | 'expired', id: number, now: Date): Promise<void> {
  await transaction
    .updateTable('personal_access_tokens')
    .set({ [NOTIFIED_AT_COLUMNS[kind]]: now.getTime() })
    .where('id', '=', id)
    .execute()
}
