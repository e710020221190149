import type { Database, Statement } from 'better-sqlite3'
import type { Transaction } from 'kysely'
import {
  CompiledQuery,
  Kysely,
  SqliteAdapter,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely'
import { LRUCache } from 'lru-cache'
import { GitgateError, hasSystemCode } from '../errors.js'
import type { Schema } from './schema.js'

/** The database, or a transaction on it: queries are the same on either. */
export type Queries = Kysely<Schema> | Transaction<Schema>

/** Kysely over an open SQLite database, which it will close. */
export function queriesOver(database: Database): Kysely<Schema> {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => immediateDriver(database),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

/**
 * Runs changes in one transaction: the one that is under way, or a new one.
 *
 * @throws GitgateError `store` where the disk is full; then nothing was changed
 */
export async function atomically<T>(queries: Queries, changes: (transaction: Queries) => Promise<T>): Promise<T> {
  if (queries.isTransaction) return await changes(queries)
  try {
    return await queries.transaction().execute(changes)
  } catch (error) {
    if (!hasSystemCode(error, 'SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_SHMSIZE')) throw error
    throw new GitgateError('store', 'the disk of the database is full; make room and try again', { cause: error })
  }
}

/** Tells every gate to forget what it remembers; part of each change that can alter a decision. */
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
function immediateDriver(database: Database): SqliteDriver {
  const driver = new SqliteDriver({ database: rememberingStatements(database) })
  driver.beginTransaction = async (connection) => {
    await connection.executeQuery(CompiledQuery.raw('BEGIN IMMEDIATE'))
  }
  driver.rollbackTransaction = async (connection) => {
    // A full disk has rolled it back already; to fail here would hide that.
    if (database.inTransaction) await connection.executeQuery(CompiledQuery.raw('ROLLBACK'))
  }
  return driver
}

const REMEMBERED_STATEMENTS = 200

/** The database as Kysely takes it, which prepares a statement for each query: the same text is the same statement. */
function rememberingStatements(database: Database): Pick<Database, 'close' | 'prepare'> {
  const statements = new LRUCache<string, Statement>({ max: REMEMBERED_STATEMENTS })
  return {
    close: () => database.close(),
    prepare(text) {
      const known = statements.get(text) ?? database.prepare(text)
      statements.set(text, known)
      return known
    },
  } as Pick<Database, 'close' | 'prepare'>
}
