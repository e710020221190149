import { randomInt } from 'node:crypto'
import type { Database } from 'better-sqlite3'
import { Secret } from '../core/secret.js'
import type { AuditEnd } from './signed-heads.js'
import type { Sealer } from './seal.js'
import { seedPurpose } from './two-factor-store.js'

const SEED_LENGTH = 32
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/**
 * Makes a database usable under another key where its own is lost. Nobody knows the new two-factor seeds and there are no recovery
 * codes, so that these accounts can use only tokens until an administrator turns their second factor off. What the old key signed is
 * signed anew, as it stands: without that key nobody can tell whether the end of the log is what a gate wrote.
 *
 * @returns the usernames of these accounts
 */
export function forgetSecrets(database: Database, sealer: Sealer): string[] {
  return database
    .transaction(() => {
      database.exec("DELETE FROM instance_facts WHERE key = 'key_check'; DELETE FROM recovery_codes")
      for (const end of ['audit_start', 'audit_head'] satisfies AuditEnd[]) {
        const value = database.prepare('SELECT value FROM instance_facts WHERE key = ?').pluck().get(end)
        if (typeof value !== 'string') continue
        const text = value.split(' ', 2).join(' ')
        database
          .prepare('UPDATE instance_facts SET value = ? WHERE key = ?')
          .run(`${text} ${sealer.sign(text, end)}`, end)
      }
      const rows = database
        .prepare('SELECT id, username FROM accounts WHERE id IN (SELECT account_id FROM two_factors) ORDER BY username')
        .all() as { readonly id: number; readonly username: string }[]
      const update = database.prepare('UPDATE two_factors SET sealed_seed = ? WHERE account_id = ?')
      for (const { id } of rows) update.run(sealer.seal(randomSeed(), seedPurpose(id)), id)
      return rows.map(({ username }) => username)
    })
    .immediate()
}

function randomSeed(): Secret {
  const letters = Array.from({ length: SEED_LENGTH }, () => BASE32.charAt(randomInt(BASE32.length)))
  return new Secret(letters.join(''), 'two-factor seed')
}
