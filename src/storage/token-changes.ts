import type { NotificationActor, NotificationPayload } from '../domain/notifications/notification.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { addNotification, notificationActor, notificationToken } from './notification-outbox.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'
import type { Change } from './audited-changes.js'

/** Records a new token and notifies its owner. */
export async function recordTokenCreated(change: Change, token: PersonalAccessToken): Promise<void> {
  const { id, parentId, previousId } = token
  await change.record({
    action: parentId === null ? 'token.created' : 'token.derived',
    target: `token:${id}`,
    details: {
      ...issueDetails(token, await userTarget(change.transaction, token.userId)),
      ...(previousId === null ? {} : { rotated_from: previousId }),
    },
  })
  // The rotation reports a successor.
  if (previousId === null)
    await notifyOwner(change, token, token.createdAt, (by) => ({
      kind: 'created',
      token: notificationToken(token),
      by,
    }))
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
  change: Change,
  id: number,
  successor: PersonalAccessToken,
  endsAt: Date,
): Promise<void> {
  const { transaction } = change
  const owner = await userTarget(transaction, successor.userId)
  const details = { owner, name: successor.name, successor: successor.id, ends_at: endsAt.toISOString() }
  await change.record({ action: 'token.rotated', target: `token:${id}`, details })
  const token = notificationToken(await findToken(transaction, id))
  await notifyOwner(change, successor, successor.createdAt, (by) => ({
    kind: 'rotated',
    token,
    successor: notificationToken(successor),
    by,
    endsAt,
  }))
}

/** Records a revocation and notifies the owner. @param rule the policy that revoked the token, if no person did */
export async function recordTokenRevoked(
  change: Change,
  id: number,
  now: Date,
  rule: string | undefined,
): Promise<void> {
  const token = await findToken(change.transaction, id)
  const details = { owner: await userTarget(change.transaction, token.userId), name: token.name }
  const event = { action: 'token.revoked', target: `token:${id}`, details } as const
  await change.record(rule === undefined ? event : { ...event, rule })
  await notifyOwner(change, token, now, (by) => ({
    kind: 'revoked',
    token: notificationToken(token),
    by,
    rule: rule ?? null,
  }))
}

/** Owners aren't notified about impersonation tokens, which are hidden from them, nor about derived ones, which live for one task. */
export function isOwnerNotified({ impersonation, parentId }: PersonalAccessToken): boolean {
  return !impersonation && parentId === null
}

async function notifyOwner(
  { transaction, actor }: Change,
  token: PersonalAccessToken,
  at: Date,
  payload: (by: NotificationActor) => NotificationPayload,
): Promise<void> {
  if (!isOwnerNotified(token)) return
  const by = notificationActor(actor, await ownerOf(transaction, token))
  await addNotification(transaction, { accountId: token.userId, payload: payload(by), at })
}

async function findToken(transaction: Queries, id: number): Promise<PersonalAccessToken> {
  const query = transaction.selectFrom('personal_access_tokens').select(TOKEN_COLUMNS).where('id', '=', id)
  return tokenFrom(await query.executeTakeFirstOrThrow())
}

async function ownerOf(transaction: Queries, { userId }: PersonalAccessToken): Promise<string> {
  const query = transaction.selectFrom('accounts').select('username').where('id', '=', userId)
  return (await query.executeTakeFirstOrThrow()).username
}
