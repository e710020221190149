import { closeSync, openSync, readSync, statSync } from 'node:fs'
import SQLite from 'better-sqlite3'
import { GitgateError, messageOf } from '../core/errors.js'
import { isDiskFull } from './disk-space.js'

// The SQLite database file format: bytes 18 and 19 hold the write and read version, 1 for rollback mode and 2 for a write-ahead log.
const VERSION_OFFSET = 18
const ROLLBACK_MODE = 1

/**
 * Refuses a database beside the write-ahead log of another. SQLite can't tell: it would copy the log's pages into the database and
 * spoil it without a word. This happens when a backup is copied over the database of a gate that crashed.
 *
 * A backup is in rollback mode, where no log can belong to it. Any other copy is read together with the log, and written only if the
 * two are sound together.
 *
 * @param database while nobody else has it open
 * @throws GitgateError `store`
 */
export function refuseForeignLog(database: string): void {
  const log = `${database}-wal`
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) === 0) return
  if (isInRollbackMode(database)) throw foreignLog(database, 'the database is a backup')
  const damage = findDamage(database)
  if (damage !== undefined) throw foreignLog(database, damage)
}

function foreignLog(database: string, reason: string): GitgateError {
  return new GitgateError(
    'store',
    `${database}-wal does not belong to ${database} (${reason}); nothing was changed. Put a backup in their place: gitgate restore FILE, which keeps both`,
  )
}

function isInRollbackMode(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const version = Buffer.alloc(1)
    return readSync(file, version, 0, 1, VERSION_OFFSET) === 1 && version[0] === ROLLBACK_MODE
  } finally {
    closeSync(file)
  }
}

/** Checks a database together with its log. Read-only, so that closing it does not copy the log into the database. */
function findDamage(path: string): string | undefined {
  try {
    const database = new SQLite(path, { readonly: true })
    try {
      const complaint = String(database.pragma('quick_check(1)', { simple: true }))
      return complaint === 'ok' ? undefined : complaint
    } finally {
      database.close()
    }
  } catch (error) {
    if (isDiskFull(error)) throw error
    return messageOf(error)
  }
}
