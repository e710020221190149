import type { NotificationPayload } from '../domain/notifications/notification.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { addNotification } from './notification-outbox.js'
import { notificationActor, notificationToken } from './notification-row.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'
import type { Trail } from './audit-context.js'

/** Records a new token and notifies its owner. */
export async function recordTokenCreated(
  transaction: Queries,
  token: PersonalAccessToken,
  trail: Trail,
): Promise<void> {
  const { id, parentId, previousId } = token
  await trail.record(transaction, {
    action: parentId === null ? 'token.created' : 'token.derived',
    target: `token:${id}`,
    details: {
      ...issueDetails(token, await userTarget(transaction, token.userId)),
      ...(previousId === null ? {} : { rotated_from: previousId }),
    },
  })
  await notifyTokenCreated(transaction, token, trail)
}

/** The immutable facts of a token, for the audit event of its creation. Verification compares them as text. */
export function issueDetails(token: PersonalAccessToken, owner: string): Readonly<Record<string, unknown>> {
  const { name, scopes, restrictions, budget, expiresAt, impersonation, parentId } = token
  const isRestricted = restrictions.repositories.length + restrictions.refs.length > 0 || restrictions.within !== null
  return {
    owner,
    name,
    scopes,
    expires_at: expiresAt?.toISOString() ?? null,
    ...(isRestricted ? { restrictions } : {}),
    ...(budget.pushes === null && budget.bytes === null ? {} : { budget }),
    ...(impersonation ? { impersonation } : {}),
    ...(parentId === null ? {} : { derived_from: parentId }),
  }
}

/** Records a rotation and notifies the owner. @param endsAt when the old secret stops working */
export async function recordTokenRotated(
  transaction: Queries,
  id: number,
  successor: PersonalAccessToken,
  endsAt: Date,
  trail: Trail,
): Promise<void> {
  const owner = await userTarget(transaction, successor.userId)
  const details = { owner, name: successor.name, successor: successor.id, ends_at: endsAt.toISOString() }
  await trail.record(transaction, { action: 'token.rotated', target: `token:${id}`, details })
  await notifyTokenRotated(transaction, id, successor, endsAt, trail)
}

/** Records a revocation and notifies the owner. @param rule the policy that revoked the token, if no person did */
export async function recordTokenRevoked(
  transaction: Queries,
  id: number,
  now: Date,
  rule: string | undefined,
  trail: Trail,
): Promise<void> {
  const { name, user_id } = await transaction
    .selectFrom('personal_access_tokens')
    .select(['name', 'user_id'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const details = { owner: await userTarget(transaction, user_id), name }
  const change = { action: 'token.revoked', target: `token:${id}`, details } as const
  await trail.record(transaction, rule === undefined ? change : { ...change, rule })
  await notifyTokenRevoked(transaction, id, now, rule, trail)
}

/** Owners aren't notified about impersonation tokens, which are hidden from them, nor about derived ones, which live for one task. */
export function isOwnerNotified({ impersonation, parentId }: PersonalAccessToken): boolean {
  return !impersonation && parentId === null
}

/** Notifies the owner of a new token; a successor is reported by the rotation instead. */
async function notifyTokenCreated(transaction: Queries, token: PersonalAccessToken, trail: Trail): Promise<void> {
  if (!isOwnerNotified(token) || token.previousId !== null) return
  const by = notificationActor(trail, await ownerOf(transaction, token))
  await add(transaction, token, { kind: 'created', token: notificationToken(token), by }, token.createdAt)
}

async function notifyTokenRotated(
  transaction: Queries,
  id: number,
  successor: PersonalAccessToken,
  endsAt: Date,
  trail: Trail,
): Promise<void> {
  if (!isOwnerNotified(successor)) return
  const by = notificationActor(trail, await ownerOf(transaction, successor))
  const token = notificationToken(await findToken(transaction, id))
  const payload = { kind: 'rotated', token, successor: notificationToken(successor), by, endsAt } as const
  await add(transaction, successor, payload, successor.createdAt)
}

async function notifyTokenRevoked(
  transaction: Queries,
  id: number,
  now: Date,
  rule: string | undefined,
  trail: Trail,
): Promise<void> {
  const token = await findToken(transaction, id)
  if (!isOwnerNotified(token)) return
  const by = notificationActor(trail, await ownerOf(transaction, token))
  await add(transaction, token, { kind: 'revoked', token: notificationToken(token), by, rule: rule ?? null }, now)
}

async function add(
  transaction: Queries,
  { userId }: PersonalAccessToken,
  payload: NotificationPayload,
  at: Date,
): Promise<void> {
  await addNotification(transaction, { accountId: userId, payload, at })
}

async function findToken(transaction: Queries, id: number): Promise<PersonalAccessToken> {
  const query = transaction.selectFrom('personal_access_tokens').select(TOKEN_COLUMNS).where('id', '=', id)
  return tokenFrom(await query.executeTakeFirstOrThrow())
}

async function ownerOf(transaction: Queries, { userId }: PersonalAccessToken): Promise<string> {
  const query = transaction.selectFrom('accounts').select('username').where('id', '=', userId)
  return (await query.executeTakeFirstOrThrow()).username
}
