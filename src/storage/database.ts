import type { Database, Statement } from 'better-sqlite3'
import type { SqliteDatabase, SqliteStatement, Transaction } from 'kysely'
import { Kysely, SqliteAdapter, SqliteDriver, SqliteIntrospector, SqliteQueryCompiler, sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import type { DiskSpace } from './disk-space.js'
import type { Schema } from './database-schema.js'

/** The database, or a transaction on it: queries are the same on either. */
export type Queries = Kysely<Schema> | Transaction<Schema>

/** Kysely over an open SQLite database, which it will close. @param disk where it is */
export function queriesOver(database: Database, disk: DiskSpace): Kysely<Schema> {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => immediateDriver(database, disk),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

/** Makes every gate drop its remembered decisions; part of each change that can alter one. */
export async function moveSecurityEpoch(transaction: Queries): Promise<void> {
  await transaction
    .updateTable('instance_facts')
    .set({ value: sql<string>`CAST(CAST(value AS integer) + 1 AS text)` })
    .where('key', '=', 'security_epoch')
    .execute()
}

/**
 * Kysely begins SQLite transactions deferred: one that reads before it writes then fails at once when another process
 * wrote in between, whatever the busy timeout. Begun immediate, it waits for its turn.
 */
function immediateDriver(database: Database, disk: DiskSpace): SqliteDriver {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const rollback = database.prepare('ROLLBACK')
  /** Before a change outside of a transaction, which holds no lock yet. */
  const requireSpace = (): void => {
    if (disk.isComplete()) return
    begin.run()
    try {
      disk.requireComplete()
    } finally {
      rollback.run()
    }
  }
  const driver = new SqliteDriver({
    database: rememberingStatements(database, (statement) => ({
      reader: statement.reader,
      all: (parameters) => guarded(statement, () => statement.all(parameters)),
      run: (parameters) => guarded(statement, () => statement.run(parameters)),
      iterate: (parameters) => statement.iterate(parameters),
    })),
  })
  const guarded = <T>(statement: Statement, run: () => T): T => {
    const isAlone = !database.inTransaction && !statement.readonly
    if (isAlone) requireSpace()
    try {
      const result = run()
      if (isAlone) disk.wrote()
      return result
    } catch (error) {
      throw disk.explain(error)
    }
  }
  driver.beginTransaction = () => {
    disk.isUrgent = false
    begin.run()
    return Promise.resolve()
  }
  driver.commitTransaction = () => {
    if (!disk.isUrgent) disk.requireComplete()
    try {
      commit.run()
      disk.wrote()
      return Promise.resolve()
    } catch (error) {
      throw disk.explain(error)
    }
  }
  driver.rollbackTransaction = () => {
    // A full disk has rolled it back already; to fail here would hide that.
    if (database.inTransaction) rollback.run()
    return Promise.resolve()
  }
  return driver
}

const REMEMBERED_STATEMENTS = 200

/** The database as Kysely takes it, which prepares a statement for each query: the same text is the same statement. */
function rememberingStatements(database: Database, guard: (statement: Statement) => SqliteStatement): SqliteDatabase {
  const statements = new LRUCache<string, SqliteStatement>({ max: REMEMBERED_STATEMENTS })
  return {
    close: () => void database.close(),
    prepare(text) {
      const known = statements.get(text) ?? guard(database.prepare(text))
      statements.set(text, known)
      return known
    },
  }
}
