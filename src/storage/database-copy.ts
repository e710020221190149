import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Database } from 'better-sqlite3'

/**
 * Writes a complete copy of a database, as it is at this instant, into a file of its owner's alone. The copy is in SQLite's rollback
 * mode, which tells it from a database that a gate works with: see `refuseForeignLog`.
 *
 * @param file must not exist, or be empty
 */
export function copyDatabase(database: Database, file: string): void {
  // SQLite would make it with a mode that lets others read it.
  closeSync(openSync(file, 'a', 0o600))
  database.prepare('VACUUM INTO ?').run(file)
  syncToDisk(file)
}

/** The same under a name that another copy may have: that one is replaced once the new one is complete. */
export function replaceCopy(database: Database, file: string): void {
  const draft = `${file}.draft`
  rmSync(draft, { force: true })
  try {
    copyDatabase(database, draft)
    renameSync(draft, file)
    syncToDisk(dirname(file))
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Waits until a file, or the names in a folder, survive a power cut. */
export function syncToDisk(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
