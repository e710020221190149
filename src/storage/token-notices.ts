import type { News } from '../domain/notifications/notice.js'
import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { Queries } from './database.js'
import { addNotice } from './notice-outbox.js'
import { byActor, noticedToken } from './notice-row.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'
import type { Trail } from './audit-context.js'

/**
 * Whether changes of a token are told to its owner: not of impersonation tokens, which are hidden from them, nor of derived
 * ones, which live for one task.
 */
export function isTold({ impersonation, parentId }: PersonalAccessToken): boolean {
  return !impersonation && parentId === null
}

/** Has the owner told that a token was made; but one that replaces another is told with that. */
export async function noticeIssue(transaction: Queries, token: PersonalAccessToken, trail: Trail): Promise<void> {
  if (!isTold(token) || token.previousId !== null) return
  const by = byActor(trail, await ownerOf(transaction, token))
  await add(transaction, token, { kind: 'created', token: noticedToken(token), by }, token.createdAt)
}

/** Has the owner told that a token was rotated into another. @param endsAt until when the old secret works */
export async function noticeRotation(
  transaction: Queries,
  id: number,
  successor: PersonalAccessToken,
  endsAt: Date,
  trail: Trail,
): Promise<void> {
  if (!isTold(successor)) return
  const by = byActor(trail, await ownerOf(transaction, successor))
  const token = noticedToken(await findToken(transaction, id))
  const news = { kind: 'rotated', token, successor: noticedToken(successor), by, endsAt } as const
  await add(transaction, successor, news, successor.createdAt)
}

/** Has the owner told that a token was revoked. @param rule why, where nobody asked for it */
export async function noticeEnd(
  transaction: Queries,
  id: number,
  now: Date,
  rule: string | undefined,
  trail: Trail,
): Promise<void> {
  const token = await findToken(transaction, id)
  if (!isTold(token)) return
  const by = byActor(trail, await ownerOf(transaction, token))
  await add(transaction, token, { kind: 'revoked', token: noticedToken(token), by, rule: rule ?? null }, now)
}

async function add(transaction: Queries, { userId }: PersonalAccessToken, news: News, at: Date): Promise<void> {
  await addNotice(transaction, { accountId: userId, news, at })
}

async function findToken(transaction: Queries, id: number): Promise<PersonalAccessToken> {
  const query = transaction.selectFrom('personal_access_tokens').select(TOKEN_COLUMNS).where('id', '=', id)
  return tokenFrom(await query.executeTakeFirstOrThrow())
}

async function ownerOf(transaction: Queries, { userId }: PersonalAccessToken): Promise<string> {
  const query = transaction.selectFrom('accounts').select('username').where('id', '=', userId)
  return (await query.executeTakeFirstOrThrow()).username
}
