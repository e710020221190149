import { setTimeout as delay } from 'node:timers/promises'
import type { Database, Statement } from 'better-sqlite3'
import type { SqliteDatabase, SqliteStatement, Transaction } from 'kysely'
import { Kysely, SqliteAdapter, SqliteDriver, SqliteIntrospector, SqliteQueryCompiler, sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import { GitgateError, hasSystemCode } from '../core/errors.js'
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
 * Kysely begins SQLite transactions deferred: one that reads before it writes then fails when another process wrote in between.
 * Begun immediate, only its beginning can fail.
 */
function immediateDriver(database: Database, disk: DiskSpace): SqliteDriver {
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const rollback = database.prepare('ROLLBACK')
  const driver = new SqliteDriver({
    database: rememberingStatements(database, (statement) => ({
      reader: statement.reader,
      all: (parameters) => guarded(statement, () => statement.all(parameters)),
      run: (parameters) => guarded(statement, () => statement.run(parameters)),
      iterate: (parameters) => statement.iterate(parameters),
    })),
  })
  const guarded = <T>(statement: Statement, run: () => T): T => {
    if (!statement.readonly && !database.inTransaction) throw new TypeError('changes are made by the write queue')
    try {
      return run()
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

/** Urgent changes take rights away. They are made before ordinary ones, and wait longer. */
export type Urgency = 'urgent' | 'ordinary'

const TIMEOUT_MS = { urgent: 10_000, ordinary: 5_000 } as const
// Other processes hold the lock for milliseconds; a look at it takes microseconds. The interval is random, so that it can't keep
// step with a process that writes at regular intervals.
const MAX_POLL_INTERVAL_MS = 10
// SNAPSHOT: another process wrote while the transaction began. RECOVERY: one reads the write-ahead log after a crash.
const LOCKED = ['SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT', 'SQLITE_BUSY_RECOVERY']

type Waiting = {
  readonly urgency: Urgency
  readonly deadline: number
  /** Makes the change. @throws what the change or the database throws; then nothing was changed */
  readonly attempt: () => Promise<void>
  readonly reject: (error: unknown) => void
}

/**
 * Makes changes one after another, each in a transaction. While another process or thread has locked the database, the queue polls
 * it: SQLite's own wait would block the event loop.
 */
export class WriteQueue {
  readonly #queries: Kysely<Schema>
  readonly #waiting = new Set<Waiting>()
  #isRunning = false

  constructor(queries: Kysely<Schema>) {
    this.#queries = queries
  }

  /**
   * Makes a change.
   *
   * @param work decides and writes. It runs again from its start if the transaction was not committed
   * @throws GitgateError `store` if the database stays locked; then nothing was changed
   */
  async run<T>(urgency: Urgency, work: (transaction: Queries) => Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.add({
        urgency,
        deadline: performance.now() + TIMEOUT_MS[urgency],
        attempt: async () => resolve(await this.#queries.transaction().execute(work)),
        reject,
      })
      if (!this.#isRunning) void this.#runAll()
    })
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true
    for (let next = this.#first(); next !== undefined; next = this.#first()) {
      try {
        await next.attempt()
      } catch (error) {
        if (hasSystemCode(error, ...LOCKED)) {
          this.#rejectOverdue()
          await delay(Math.random() * MAX_POLL_INTERVAL_MS)
          continue
        }
        next.reject(error)
      }
      this.#waiting.delete(next)
    }
    this.#isRunning = false
  }

  #first(): Waiting | undefined {
    const waiting = [...this.#waiting]
    return waiting.find(({ urgency }) => urgency === 'urgent') ?? waiting[0]
  }

  #rejectOverdue(): void {
    for (const waiting of this.#waiting) {
      if (performance.now() < waiting.deadline) continue
      this.#waiting.delete(waiting)
      waiting.reject(lockedFor(TIMEOUT_MS[waiting.urgency]))
    }
  }
}

function lockedFor(waitedMs: number): GitgateError {
  // Clients read it, too: no path.
  const message = `another program kept the database locked for ${waitedMs / 1_000} seconds; nothing was changed. Try again, or find the program that has the database open`
  return new GitgateError('store', message)
}
