import { readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import SQLite from 'better-sqlite3'
import { GitgateError } from '../core/errors.js'
import { replaceCopy } from './database-copy.js'

// Each is as big as the database was. Older ones are of little use: backups are for that.
const KEPT_MIGRATION_COPIES = 3
const SPARE_BYTES = 1_048_576
const MEBIBYTE = 1_048_576

/** A database that is kept in the data folder beside the one in use. */
export type KeptDatabase = {
  readonly file: string
  readonly reason: 'migration' | 'restore'
  readonly bytes: number
  readonly at: Date
}

/**
 * Keeps a copy of a database that is about to be migrated, and deletes the oldest where there are more than three.
 *
 * @param database its file, to which nobody else can write now
 * @throws GitgateError `disk-full` when the disk has no space for it
 */
export function keepMigrationCopy(database: string, version: number): void {
  // Read on a connection of its own: in a transaction SQLite copies nothing.
  const source = new SQLite(database, { readonly: true })
  try {
    const bytes =
      Number(source.pragma('page_count', { simple: true })) * Number(source.pragma('page_size', { simple: true }))
    requireSpaceFor(bytes, database)
    replaceCopy(source, `${database}.schema-${version}`)
  } finally {
    source.close()
  }
  const copies = keptDatabases(database).filter(({ reason }) => reason === 'migration')
  const byAge = copies.toSorted((a, b) => versionOf(b) - versionOf(a))
  for (const { file } of byAge.slice(KEPT_MIGRATION_COPIES)) rmSync(file)
}

/** The databases that are kept beside the one in use. */
export function keptDatabases(database: string): KeptDatabase[] {
  return readdirSync(dirname(database)).flatMap((name) => {
    if (!name.startsWith(`${basename(database)}.`)) return []
    const [, kind] = /\.(schema-\d+|before-\w+)$/.exec(name) ?? []
    if (kind === undefined) return []
    const file = join(dirname(database), name)
    const { size, mtime } = statSync(file)
    return [{ file, reason: kind.startsWith('schema') ? 'migration' : 'restore', bytes: size, at: mtime } as const]
  })
}

function versionOf({ file }: KeptDatabase): number {
  return Number(file.slice(file.lastIndexOf('-') + 1))
}

function requireSpaceFor(bytes: number, database: string): void {
  const { bavail, bsize } = statfsSync(dirname(database))
  if (bavail * bsize >= bytes + SPARE_BYTES) return
  const needed = Math.ceil((bytes + SPARE_BYTES) / MEBIBYTE)
  throw new GitgateError(
    'disk-full',
    `disk full: before this version changes the schema of the database, it keeps a copy, which needs ${needed} MiB in ${dirname(database)}; free that much and start again`,
  )
}
