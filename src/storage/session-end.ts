import type { Queries } from './database.js'

/** Ends all sessions of an account; part of each change to how it signs in. */
export async function endSessions(transaction: Queries, accountId: number): Promise<void> {
  await transaction.deleteFrom('sessions').where('account_id', '=', accountId).execute()
}
