import SQLite from 'better-sqlite3'
import type { Database } from 'better-sqlite3'
import { Worker } from 'node:worker_threads'
import type { DatabaseFlaw } from '../domain/audit/flaw.js'
import { hasSystemCode, messageOf } from '../core/errors.js'
import { migrateTo, NEWEST_VERSION, versionOf } from './migrate.js'

// SQLite can find as many as there are rows.
const MAX_COMPLAINTS = 5
const MAX_COMPLAINT_LENGTH = 200

/** A row of `sqlite_master`. SQLite makes objects without SQL itself, such as the index of a UNIQUE column. */
type SchemaObject = {
  readonly type: string
  readonly name: string
  readonly tbl_name: string
  readonly sql: string | null
}

// ANALYZE makes these. They only help SQLite to choose among indexes.
const STATISTICS = ['CREATE TABLE sqlite_stat1(tbl,idx,stat)', 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)']

/** Where the thread finds the database. */
export type CheckThreadData = { readonly path: string }

/**
 * Checks what the log can't vouch for: that triggers, indexes and tables are gitgate's, that each index matches its table, and that
 * values have the types of their columns. It
 * reads every page, so it runs in a thread of its own.
 */
export async function checkDatabase(path: string): Promise<DatabaseFlaw | undefined> {
  const thread = new Worker(new URL('./database-check-run.js', import.meta.url), {
    workerData: { path } satisfies CheckThreadData,
    // Flags of the process, such as --input-type, may not fit the thread.
    execArgv: [],
  })
  let result: { readonly flaw: DatabaseFlaw | undefined } | undefined
  thread.once('message', (message: typeof result) => (result = message))
  return await new Promise((resolve, reject) => {
    thread.once('error', reject)
    // Until then the thread may have the database open, which the caller may want to move.
    thread.once('exit', () => {
      if (result === undefined) reject(new Error('the thread that checks the database ended without a result'))
      else resolve(result.flaw)
    })
  })
}

/** The same at once. */
export function findDatabaseFlaw(database: Database): DatabaseFlaw | undefined {
  try {
    return findSchemaFlaw(database) ?? findDamage(database) ?? findWrongType(database)
  } catch (error) {
    if (!hasSystemCode(error, 'SQLITE_CORRUPT', 'SQLITE_CORRUPT_INDEX')) throw error
    return { kind: 'damaged', complaints: [messageOf(error)] }
  }
}

/** Compares the schema with the one that the migrations make. SQLite stores the text of each object, so the texts are compared.
 * Nothing is known about a newer version, which can't be used anyway.
 */
export function findSchemaFlaw(database: Database): DatabaseFlaw | undefined {
  const version = versionOf(database)
  if (version > NEWEST_VERSION) return undefined
  const expected = new Map(expectedObjects(version).map((object) => [keyOf(object), object]))
  for (const object of objectsIn(database)) {
    const { type, name, tbl_name, sql } = object
    if (sql !== null && STATISTICS.includes(sql) && type === 'table' && sql.includes(` ${name}(`)) continue
    const own = expected.get(keyOf(object))
    if (own === undefined) return { kind: 'schema-changed', type, name, is: 'extra' }
    if (own.sql !== sql || own.tbl_name !== tbl_name) return { kind: 'schema-changed', type, name, is: 'changed' }
    // Somebody who writes to sqlite_master can add a second object of the same name.
    expected.delete(keyOf(object))
  }
  const [missing] = expected.values()
  return missing && { kind: 'schema-changed', type: missing.type, name: missing.name, is: 'missing' }
}

function findDamage(database: Database): DatabaseFlaw | undefined {
  const found = database.pragma(`integrity_check(${MAX_COMPLAINTS})`) as { readonly integrity_check: string }[]
  // Pages have a heading for each database file, of which there is one.
  const lines = found.flatMap((row) => row.integrity_check.split('\n'))
  const complaints = lines.filter((line) => line !== 'ok' && !line.startsWith('*** in database'))
  // A row that refers to a missing one isn't compared with the log, and somebody may get it with a new account.
  const orphan = database.prepare('SELECT "table", rowid, parent FROM pragma_foreign_key_check').get() as
    { readonly table: string; readonly rowid: number; readonly parent: string } | undefined
  if (orphan !== undefined)
    complaints.push(`row ${orphan.rowid} of ${orphan.table} refers to a missing row of ${orphan.parent}`)
  if (complaints.length === 0) return undefined
  return {
    kind: 'damaged',
    complaints: complaints.slice(0, MAX_COMPLAINTS).map((line) => line.slice(0, MAX_COMPLAINT_LENGTH)),
  }
}

/** SQLite keeps a value of any type in any column, and compares it by its type. */
function findWrongType(database: Database): DatabaseFlaw | undefined {
  for (const { type, name: table } of objectsIn(database)) {
    // The chain names the event whose values were edited.
    if (type !== 'table' || table.startsWith('sqlite_') || table === 'audit_events') continue
    const columns = database.prepare('SELECT name, lower(type) AS type FROM pragma_table_info(?)').all(table) as {
      readonly name: string
      readonly type: string
    }[]
    const isWrong = columns.map(({ name, type }) => `typeof("${name}") NOT IN ('${type}', 'null')`)
    const cases = columns.map(({ name }, index) => `WHEN ${isWrong[index]} THEN '${name}'`)
    const types = columns.map(({ name }, index) => `WHEN ${isWrong[index]} THEN typeof("${name}")`)
    const wrong = database
      .prepare(
        `SELECT CASE ${cases.join(' ')} END AS name, CASE ${types.join(' ')} END AS found
          FROM "${table}" WHERE ${isWrong.join(' OR ')} LIMIT 1`,
      )
      .get() as { readonly name: string; readonly found: string } | undefined
    const column = columns.find(({ name }) => name === wrong?.name)
    if (wrong === undefined || column === undefined) continue
    return { kind: 'wrong-type', table, column: column.name, expected: column.type, found: wrong.found }
  }
  return undefined
}

function expectedObjects(version: number): SchemaObject[] {
  const database = new SQLite(':memory:')
  try {
    migrateTo(database, version)
    return objectsIn(database)
  } finally {
    database.close()
  }
}

function objectsIn(database: Database): SchemaObject[] {
  return database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_master').all() as SchemaObject[]
}

function keyOf({ type, name }: SchemaObject): string {
  return `${type} ${name}`
}
