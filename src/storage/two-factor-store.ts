import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { notifyAccountChange } from './account-notifications.js'
import { userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { atomically, moveSecurityEpoch } from './database.js'
import { endSessions } from './session-end.js'
import type { Sealer } from './seal.js'
import type { Trail } from './audit-context.js'
import { applyChange } from './audit-context.js'

/** Second factors in the database; the seeds are encrypted. */
export function twoFactorStore(queries: Queries, sealer: Sealer, trail: Trail): TwoFactorStore {
  return {
    async find(accountId) {
      const row = await queries
        .selectFrom('two_factors')
        .selectAll()
        .where('account_id', '=', accountId)
        .executeTakeFirst()
      if (row === undefined) return undefined
      const codes = await queries.selectFrom('recovery_codes').selectAll().where('account_id', '=', accountId).execute()
      return {
        seed: sealer.open(row.sealed_seed, purposeOf(accountId), 'two-factor seed'),
        recoveryCodes: codes.map(({ id, hash }) => ({ id, hash: new Secret(hash, 'recovery code hash') })),
      }
    },

    enable: (accountId, seed, recoveryHashes, now, step) =>
      applyChange(queries, trail, async (transaction) => {
        const sealed_seed = sealer.seal(seed, purposeOf(accountId))
        const added = await transaction
          .insertInto('two_factors')
          .values({ account_id: accountId, sealed_seed, last_step: step ?? null, enabled_at: now.getTime() })
          .onConflict((conflict) => conflict.column('account_id').doNothing())
          .executeTakeFirst()
        if (added.numInsertedOrUpdatedRows !== 1n)
          throw new GitgateError('conflict', 'two-factor authentication is on already; disable it first to start anew')
        await addRecoveryCodes(transaction, accountId, recoveryHashes)
        await endSessions(transaction, accountId)
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, {
          action: 'two_factor.enabled',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(transaction, accountId, 'two-factor-enabled', trail)
      }),

    disable: (accountId) =>
      applyChange(queries, trail, async (transaction) => {
        const result = await transaction
          .deleteFrom('two_factors')
          .where('account_id', '=', accountId)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return
        await transaction.deleteFrom('recovery_codes').where('account_id', '=', accountId).execute()
        await endSessions(transaction, accountId)
        await moveSecurityEpoch(transaction)
        await trail.record(transaction, {
          action: 'two_factor.disabled',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(transaction, accountId, 'two-factor-disabled', trail)
      }),

    replaceRecoveryCodes: (accountId, recoveryHashes) =>
      applyChange(queries, trail, async (transaction) => {
        await transaction.deleteFrom('recovery_codes').where('account_id', '=', accountId).execute()
        await addRecoveryCodes(transaction, accountId, recoveryHashes)
        await trail.record(transaction, {
          action: 'two_factor.recovery_codes_replaced',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(transaction, accountId, 'recovery-codes-renewed', trail)
      }),

    async takeStep(accountId, step) {
      // One statement decides, so that two requests with the same code can't both win.
      const result = await queries
        .updateTable('two_factors')
        .set({ last_step: step })
        .where('account_id', '=', accountId)
        .where((where) => where.or([where('last_step', 'is', null), where('last_step', '<', step)]))
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },

    takeRecoveryCode: (id) =>
      atomically(queries, async (transaction) => {
        const taken = await transaction
          .deleteFrom('recovery_codes')
          .where('id', '=', id)
          .returning('account_id')
          .executeTakeFirst()
        if (taken === undefined) return false
        const target = await userTarget(transaction, taken.account_id)
        await trail.record(transaction, { action: 'two_factor.recovery_code_used', target })
        return true
      }),
  }
}

async function addRecoveryCodes(transaction: Queries, accountId: number, hashes: readonly Secret[]): Promise<void> {
  const rows = hashes.map((hash) => ({ account_id: accountId, hash: hash.reveal() }))
  await transaction.insertInto('recovery_codes').values(rows).execute()
}

function purposeOf(accountId: number): string {
  return `two-factor seed of ${accountId}`
}
