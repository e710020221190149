import type { Database } from 'better-sqlite3'
import { GitgateError } from '../core/errors.js'
import { first } from './migrations/0001-first.js'
import { restrictions } from './migrations/0002-restrictions.js'
import { trail } from './migrations/0003-trail.js'
import { sessions } from './migrations/0004-sessions.js'
import { tokenUses } from './migrations/0005-token-uses.js'
import { auditNames } from './migrations/0006-audit-names.js'
import { carriedFacts } from './migrations/0007-carried-facts.js'
import { settingTimes } from './migrations/0008-setting-times.js'

// In order of their versions; one that was released is never changed again.
const MIGRATIONS = [first, restrictions, trail, sessions, tokenUses, auditNames, carriedFacts, settingTimes] as const
/** The version of the newest schema. */
export const NEWEST_VERSION = MIGRATIONS.length

/**
 * Brings a database to the newest schema. All of it happens in one transaction under SQLite's write lock, so that two
 * programs that start at once don't do it twice, and a crash leaves the schema as it was. (Kysely's own migrator runs
 * without a transaction on SQLite.)
 *
 * @param keepCopy called with the old version before anything is changed; what it throws leaves the schema as it was
 * @throws GitgateError `store` when the database is newer than this program, or was not made by it
 */
export function migrate(database: Database, keepCopy: (version: number) => void = () => undefined): void {
  if (versionOf(database) === NEWEST_VERSION) return
  database
    .transaction(() => {
      const version = versionOf(database)
      if (version > NEWEST_VERSION) {
        throw new GitgateError(
          'store',
          `the database has schema ${version}, but this gitgate knows only schemas up to ${NEWEST_VERSION}; install the newer gitgate that used it, or restore a backup`,
        )
      }
      if (version === 0 && hasTables(database)) {
        throw new GitgateError(
          'store',
          "the database has tables that gitgate didn't create; choose another --data folder",
        )
      }
      if (version > 0) keepCopy(version)
      for (const migration of MIGRATIONS.slice(version)) database.exec(migration.sqlite)
      database.pragma(`user_version = ${NEWEST_VERSION}`)
    })
    .immediate()
}

/** Gives an empty database the schema of a version. */
export function migrateTo(database: Database, version: number): void {
  for (const migration of MIGRATIONS.slice(0, version)) database.exec(migration.sqlite)
}

/** The version of a database's schema. */
export function versionOf(database: Database): number {
  return Number(database.pragma('user_version', { simple: true }))
}

function hasTables(database: Database): boolean {
  return database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' LIMIT 1").get() !== undefined
}
