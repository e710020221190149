import type { PersonalAccessToken } from '../domain/tokens/token.js'
import type { Queries } from './database.js'
import { addNotification, findChannels } from './notification-outbox.js'
import { notificationToken } from './notification-row.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'

/** Tokens listed in one notification; the others are counted. */
const MAX_LISTED_TOKENS = 100

const NOTIFIED_AT_COLUMNS = { expiring: 'expiring_noticed_at', expired: 'expired_noticed_at' } as const

/**
 * Writes one notification for each owner of tokens that end within a span (its end does not belong to it), and marks the tokens, in
 * one transaction: whoever does it a second time, or at once, finds none.
 *
 * @returns how many notifications
 */
export function addExpiryNotifications(
  queries: Queries,
  kind: 'expiring' | 'expired',
  { from, until }: { readonly from: Date; readonly until: Date },
  now: Date,
): Promise<number> {
  return queries.transaction().execute(async (transaction) => {
    let written = 0
    for (const [accountId, tokens] of await findUntold(transaction, kind, from, until, now)) {
      if ((await findChannels(transaction, accountId, kind)) === undefined) continue
      const named = tokens.slice(0, MAX_LISTED_TOKENS).map(notificationToken)
      const payload = { kind, tokens: named, more: tokens.length - named.length }
      await addNotification(transaction, { accountId, payload, at: now })
      for (const { id } of tokens) await mark(transaction, kind, id, now)
      written += 1
    }
    return written
  })
}

async function findUntold(
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
    // A mark from the future was set by a clock that was wrong: the owner is told again at the right time.
    .where((eb) =>
      eb.or([eb(NOTIFIED_AT_COLUMNS[kind], 'is', null), eb(NOTIFIED_AT_COLUMNS[kind], '>', now.getTime())]),
    )
    // As in token-changes.ts: one is hidden from its owner, the other lives for one task.
    .where('impersonation', '=', 0)
    .where('parent_id', 'is', null)
    .orderBy('expires_at')
    .orderBy('id')
    .execute()
  const byOwner = new Map<number, PersonalAccessToken[]>()
  for (const token of rows.map(tokenFrom)) byOwner.set(token.userId, [...(byOwner.get(token.userId) ?? []), token])
  return byOwner
}

async function mark(transaction: Queries, kind: 'expiring' | 'expired', id: number, now: Date): Promise<void> {
  await transaction
    .updateTable('personal_access_tokens')
    .set({ [NOTIFIED_AT_COLUMNS[kind]]: now.getTime() })
    .where('id', '=', id)
    .execute()
}
