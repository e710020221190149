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
import type { HeldLock } from '../core/instances.js'
import { tryLock } from '../core/instances.js'
import { draftIn, finishSwap, isOfRestore, isSwapPending } from './database-swap.js'
import { diskFullIn, isDiskFull } from './disk-space.js'
import { refuseForeignLog } from './foreign-log.js'
import { KEY_BYTES } from './seal.js'

const DATABASE = 'gitgate.sqlite3'
const KEY = 'key'
const CHECKPOINT = 'audit-mark'
const RESERVE = 'disk-reserve'
const LOCK = 'lock'

// Commands wait this long for each other.
const LOCK_TIMEOUT_MS = 5_000

/** The database's path in a data folder. */
export function databaseIn(folder: string): string {
  return join(folder, DATABASE)
}

/** The paths of a data folder's parts. */
export type DataFolder = {
  readonly path: string
  readonly database: string
  readonly key: string
  readonly checkpoint: string
  readonly reserve: string
  readonly lock: string
}

/** The parts of the data folder at a path. */
export function partsOf(path: string, keyFile: string | undefined): DataFolder {
  const at = (name: string): string => join(path, name)
  return {
    path,
    database: databaseIn(path),
    key: keyFile ?? at(KEY),
    checkpoint: at(CHECKPOINT),
    reserve: at(RESERVE),
    lock: at(LOCK),
  }
}

/** Creates the data folder if needed, and makes it readable by its owner only.
 *
 * @param path the folder, `--data`
 * @param keyFile path of the key, if it isn't in the folder
 * @throws GitgateError `store` if the folder can't be used or belongs to another user: files that root leaves in it would lock
 *   out the gate
 */
export function openDataFolder(path: string, keyFile: string | undefined): DataFolder {
  return usingFolder(path, () => {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    refuseOthers(path)
    refuseForeign(path)
    chmodSync(path, 0o700)
    const folder = partsOf(path, keyFile)
    if (keyFile === undefined && existsSync(folder.key)) chmodSync(folder.key, 0o600)
    return folder
  })
}

/** Takes the shared lock of a data folder's database, and creates the database file if needed. The first process after a crash
 * finishes an interrupted restore, and refuses a database that doesn't belong to its write-ahead log.
 * @returns the lock; release it when the database is closed
 * @throws GitgateError `store`
 */
export function shareDataFolder(folder: DataFolder): HeldLock {
  return usingFolder(folder.path, () => {
    makePrivateFile(folder.lock)
    for (;;) {
      const alone = tryLock(folder.lock, 'exclusive')
      try {
        if (alone !== undefined) {
          finishSwap(folder)
          rmSync(draftIn(folder.path), { recursive: true, force: true })
          refuseForeignLog(folder.database)
        }
      } finally {
        alone?.release()
      }
      const lock = tryLock(folder.lock, 'shared', LOCK_TIMEOUT_MS)
      if (lock === undefined)
        throw new GitgateError(
          'store',
          `the database in ${folder.path} is being restored, or checked after a crash; wait until that has finished`,
        )
      if (!isSwapPending(folder.path)) {
        makePrivateFile(folder.database)
        return lock
      }
      // A restore was killed in the meantime.
      lock.release()
    }
  })
}

/** Takes a data folder's lock exclusively.
 * @returns the lock, to be released
 * @throws GitgateError `conflict` while a gate or a command uses the folder
 */
export function claimDataFolder({ path, lock }: DataFolder): HeldLock {
  return usingFolder(path, () => {
    makePrivateFile(lock)
    const held = tryLock(lock, 'exclusive')
    if (held !== undefined) return held
    throw new GitgateError('conflict', `${path} is in use by a gate or another command; stop it and try again`)
  })
}

function usingFolder<T>(path: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    if (error instanceof GitgateError) throw error
    if (isDiskFull(error)) throw diskFullIn(path, error)
    throw new GitgateError('store', `the data folder ${path} can't be used: ${messageOf(error)}`, { cause: error })
  }
}

/** Reads the key that encrypts secrets, and creates it if there is none.
 * @param isNeeded whether something is already encrypted, so that a new key would be useless
 * @throws GitgateError `store` if the file isn't a key, can't be read or created, or is missing and needed
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
      `the key ${path} is missing, but the database is encrypted and signed with it. Restore the key from a backup, or restore the database without it: gitgate restore --without-secrets FILE`,
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
  throw new GitgateError('store', `${path} is not a key: it must contain the base64 of ${KEY_BYTES} bytes`)
}

function makeKey(path: string): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
    // A link fails if the name exists, so two programs that start at the same time both use the first one's key.
    linkSync(draft, path)
  } catch (error) {
    if (!hasSystemCode(error, 'EEXIST')) throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Creates a file for SQLite, which would make it readable by others; SQLite gives its side files the same mode. An existing file
 * isn't opened, because closing it would drop all locks that this process holds on it (POSIX), including those of an open
 * database. Another program would then think that the database is unused, and remove its write-ahead log.
 */
function makePrivateFile(path: string): void {
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
  // SQLite creates a journal for the lock, which another program may hold at this moment.
  const known = [KEY, LOCK, `${LOCK}-journal`, 'lost+found']
  const mayBeAlone = (name: string): boolean => known.includes(name) || isOfRestore(name)
  if (names.some((name) => name.startsWith(DATABASE)) || names.every(mayBeAlone)) return
  throw new GitgateError(
    'store',
    `the data folder ${path} is not empty and has no gitgate database; choose another --data`,
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
    `the data folder ${path} belongs to user ${owner} and you are ${user}; run this as its owner: sudo -u '#${owner}' gitgate …`,
  )
}
