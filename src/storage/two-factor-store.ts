import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'
import { notifyAccountChange } from './notification-outbox.js'
import { endSessions, userTarget } from './account-store.js'
import type { Queries } from './database.js'
import { moveSecurityEpoch } from './database.js'
import type { Sealer } from './seal.js'
import type { AuditedChanges } from './audited-changes.js'
import { withoutAuthority } from './audited-changes.js'

/** Second factors in the database; the seeds are encrypted. */
export function twoFactorStore(queries: Queries, sealer: Sealer, changes: AuditedChanges): TwoFactorStore {
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
        seed: sealer.open(row.sealed_seed, seedPurpose(accountId), 'two-factor seed'),
        recoveryCodes: codes.map(({ id, hash }) => ({ id, hash: new Secret(hash, 'recovery code hash') })),
      }
    },

    enable: (context, accountId, seed, recoveryHashes, now, step) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const sealed_seed = sealer.seal(seed, seedPurpose(accountId))
        const added = await transaction
          .insertInto('two_factors')
          .values({ account_id: accountId, sealed_seed, last_step: step ?? null, enabled_at: now.getTime() })
          .onConflict((conflict) => conflict.column('account_id').doNothing())
          .executeTakeFirst()
        if (added.numInsertedOrUpdatedRows !== 1n)
          throw new GitgateError(
            'conflict',
            'two-factor authentication is already on; to start over, turn it off first',
          )
        await addRecoveryCodes(transaction, accountId, recoveryHashes)
        await endSessions(transaction, accountId)
        await moveSecurityEpoch(transaction)
        await change.record({
          action: 'two_factor.enabled',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(change, accountId, 'two-factor-enabled')
      }),

    disable: (context, accountId) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        const result = await transaction
          .deleteFrom('two_factors')
          .where('account_id', '=', accountId)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return
        await transaction.deleteFrom('recovery_codes').where('account_id', '=', accountId).execute()
        await endSessions(transaction, accountId)
        await moveSecurityEpoch(transaction)
        await change.record({
          action: 'two_factor.disabled',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(change, accountId, 'two-factor-disabled')
      }),

    replaceRecoveryCodes: (context, accountId, recoveryHashes) =>
      changes.apply(context, async (change) => {
        const { transaction } = change
        await transaction.deleteFrom('recovery_codes').where('account_id', '=', accountId).execute()
        await addRecoveryCodes(transaction, accountId, recoveryHashes)
        await change.record({
          action: 'two_factor.recovery_codes_replaced',
          target: await userTarget(transaction, accountId),
        })
        await notifyAccountChange(change, accountId, 'recovery-codes-renewed')
      }),

    takeStep: (accountId, step) =>
      changes.write(async (transaction) => {
        // One statement decides, so that two requests with the same code can't both win.
        const result = await transaction
          .updateTable('two_factors')
          .set({ last_step: step })
          .where('account_id', '=', accountId)
          .where((where) => where.or([where('last_step', 'is', null), where('last_step', '<', step)]))
          .executeTakeFirst()
        return result.numUpdatedRows === 1n
      }),

    takeRecoveryCode: (context, id) =>
      // It is what completes a sign-in, so there is no session yet that could be required.
      changes.apply(withoutAuthority(context), async (change) => {
        const { transaction } = change
        const taken = await transaction
          .deleteFrom('recovery_codes')
          .where('id', '=', id)
          .returning('account_id')
          .executeTakeFirst()
        if (taken === undefined) return false
        const target = await userTarget(transaction, taken.account_id)
        await change.record({ action: 'two_factor.recovery_code_used', target })
        return true
      }),
  }
}

async function addRecoveryCodes(transaction: Queries, accountId: number, hashes: readonly Secret[]): Promise<void> {
  const rows = hashes.map((hash) => ({ account_id: accountId, hash: hash.reveal() }))
  await transaction.insertInto('recovery_codes').values(rows).execute()
}

/** What the seed of an account is sealed as. */
export function seedPurpose(accountId: number): string {
  return `two-factor seed of ${accountId}`
}
