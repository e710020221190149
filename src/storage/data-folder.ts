import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { GitgateError, hasSystemCode, messageOf } from '../core/errors.js'
import { diskFullIn, isDiskFull } from './disk-space.js'
import { KEY_BYTES } from './seal.js'

const DATABASE = 'gitgate.sqlite3'
const KEY = 'key'
const MARK = 'audit-mark'
const RESERVE = 'disk-reserve'

/** Where a data folder keeps its database. */
export function databaseIn(folder: string): string {
  return join(folder, DATABASE)
}

/** Where the parts of a data folder are. */
export type DataFolder = {
  readonly path: string
  readonly database: string
  readonly key: string
  readonly mark: string
  readonly reserve: string
}

/**
 * Makes the data folder ready: there, readable by its owner alone, and ours.
 *
 * @param path the folder, `--data`
 * @param keyFile another place for the key, if any
 * @throws GitgateError `store` when it can't be used, or belongs to another user: files that root leaves in it would lock
 *   out the gate
 */
export function openDataFolder(path: string, keyFile: string | undefined): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    refuseOthers(path)
    refuseForeign(path)
    chmodSync(path, 0o700)
    const database = databaseIn(path)
    makeDatabaseFile(database)
    const key = join(path, KEY)
    if (keyFile === undefined && existsSync(key)) chmodSync(key, 0o600)
    return { path, database, key: keyFile ?? key, mark: join(path, MARK), reserve: join(path, RESERVE) }
  } catch (error) {
    if (error instanceof GitgateError) throw error
    if (isDiskFull(error)) throw diskFullIn(path, error)
    throw new GitgateError('store', `the data folder ${path} can't be used: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * Reads the key that secrets are encrypted under; makes it where there is none.
 *
 * @param isNeeded something is encrypted already, so that a new key would be no help
 * @throws GitgateError `store` when the file is no key, can't be read or made, or is missing and needed
 */
export function readKey(path: string, isNeeded: boolean): Buffer {
  try {
    return parseKey(path)
  } catch (error) {
    if (!hasSystemCode(error, 'ENOENT')) throw unreadableKey(path, error)
  }
  if (isNeeded) {
    throw new GitgateError(
      'store',
      `the key ${path} is missing, and what is in the database is encrypted and signed under it; restore it from a backup`,
    )
  }
  try {
    makeKey(path)
    return parseKey(path)
  } catch (error) {
    throw unreadableKey(path, error)
  }
}

function parseKey(path: string): Buffer {
  const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64')
  if (key.length === KEY_BYTES) return key
  throw new GitgateError('store', `${path} is no key: it holds the base64 of ${KEY_BYTES} bytes`)
}

function makeKey(path: string): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
    // A link fails where the name exists: of two programs that start at once, both use the key of the first.
    linkSync(draft, path)
  } catch (error) {
    if (!hasSystemCode(error, 'EEXIST')) throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/**
 * SQLite gives its side files the mode of the database, so that is made before SQLite would. One that exists is not opened:
 * to close a file drops all locks that this process has on it (POSIX), those of an open database, too, and another
 * program would then take the database for unused and remove its log under the gate.
 */
function makeDatabaseFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!hasSystemCode(error, 'EEXIST')) throw error
    chmodSync(path, 0o600)
  }
}

/** A mistyped `--data /srv` must not lock everybody out of that folder. */
function refuseForeign(path: string): void {
  const names = readdirSync(path)
  if (names.includes(DATABASE) || names.every((name) => name === KEY || name === 'lost+found')) return
  throw new GitgateError(
    'store',
    `the data folder ${path} is not empty and holds no database of gitgate; choose another --data`,
  )
}

function unreadableKey(path: string, error: unknown): GitgateError {
  if (error instanceof GitgateError) return error
  if (isDiskFull(error)) return diskFullIn(dirname(path), error)
  return new GitgateError('store', `the key ${path} can't be used: ${messageOf(error)}`, { cause: error })
}

function refuseOthers(path: string): void {
  const owner = statSync(path).uid
  const user = process.geteuid?.()
  if (user === undefined || owner === user) return
  throw new GitgateError(
    'store',
    `the data folder ${path} belongs to user ${owner} and you are ${user}; run this as its owner, such as: sudo -u '#${owner}' gitgate …`,
  )
}
