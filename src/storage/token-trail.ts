import type { PersonalAccessToken } from '../domain/tokens/token.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { noticeEnd, noticeIssue, noticeRotation } from './token-notices.js'
import type { Trail } from './audit-context.js'

/** Tells that a token was made: the trail, and its owner. */
export async function tellIssue(transaction: Queries, token: PersonalAccessToken, trail: Trail): Promise<void> {
  const { id, parentId, previousId } = token
  await trail.record(transaction, {
    action: parentId === null ? 'token.created' : 'token.derived',
    target: `token:${id}`,
    details: {
      ...issueDetails(token, await userTarget(transaction, token.userId)),
      ...(previousId === null ? {} : { rotated_from: previousId }),
    },
  })
  await noticeIssue(transaction, token, trail)
}

/** What never changes about a token, as the audit event of its creation holds it. Verification compares it as a text. */
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

/** Tells that a token was rotated into another: the trail, and its owner. @param endsAt until when the old secret works */
export async function tellRotation(
  transaction: Queries,
  id: number,
  successor: PersonalAccessToken,
  endsAt: Date,
  trail: Trail,
): Promise<void> {
  const owner = await userTarget(transaction, successor.userId)
  const details = { owner, name: successor.name, successor: successor.id, ends_at: endsAt.toISOString() }
  await trail.record(transaction, { action: 'token.rotated', target: `token:${id}`, details })
  await noticeRotation(transaction, id, successor, endsAt, trail)
}

/** Tells that a token was revoked: the trail, and its owner. @param rule why, where nobody asked for it */
export async function tellEnd(
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
  await noticeEnd(transaction, id, now, rule, trail)
}
