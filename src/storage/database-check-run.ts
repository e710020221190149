// The entry point of the thread that checks the database.
import { parentPort, workerData } from 'node:worker_threads'
import SQLite from 'better-sqlite3'
import type { CheckThreadData } from './database-check.js'
import { findDatabaseFlaw } from './database-check.js'

const { path } = workerData as CheckThreadData
// SQLite checks no constraints on a connection that is read-only.
const database = new SQLite(path, { fileMustExist: true })
try {
  parentPort?.postMessage({ flaw: findDatabaseFlaw(database) })
} finally {
  database.close()
}
