import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import SQLite from 'better-sqlite3'
import { GitgateError, hasSystemCode } from './errors.js'

/** A user of a folder that gates share: a gate, a worker or a command. */
export type Instance = { readonly id: string; release(): Promise<void> }

/** A lock on a file, held until it is released or the process ends. */
export type HeldLock = { release(): void }

const MUTEX = 'lock'
const LOCK_NAME = /^([\w-]+)\.lock$/
const POLL_INTERVAL_MS = 20
const LOCK_TIMEOUT_MS = 60_000

// Keeps connections from being garbage-collected, which would release their locks.
const heldLocks = new Set<SQLite.Database>()

/** A random ID for an instance. */
export function newInstanceId(): string {
  return randomBytes(8).toString('hex')
}

/**
 * Joins the instances that use a folder. An instance is alive as long as a process holds a lock on its file. Process IDs
 * can't tell, because each container has a process 1. The kernel releases the lock when the process ends, however it ends.
 * SQLite takes the lock, because Node can't. It works wherever the database does, and Git doesn't inherit it (fcntl, not
 * flock).
 *
 * @param folder the folder for the locks, which must exist
 * @param id the processes of one gate may share it
 * @param whileLocked runs before others can join; gets the instances that are already alive
 */
export async function joinInstances(
  folder: string,
  id: string,
  whileLocked: (live: readonly string[]) => Promise<void> | void = () => undefined,
): Promise<Instance> {
  return await lockInstances(folder, async (live) => {
    const lock = tryLock(join(folder, `${id}.lock`), 'shared')
    if (lock === undefined) throw new GitgateError('store', `the lock of ${id} in ${folder} is held by another process`)
    try {
      await whileLocked(live)
    } catch (error) {
      lock.release()
      throw error
    }
    return {
      id,
      async release() {
        lock.release()
        // Removes the lock file, unless other processes of the gate hold it or the folder is gone.
        await lockInstances(folder, () => undefined).catch(() => undefined)
      },
    }
  })
}

/** Runs something while no instance can join. @param work gets the instances that are alive */
export async function lockInstances<T>(folder: string, work: (live: readonly string[]) => Promise<T> | T): Promise<T> {
  const mutex = await waitForLock(join(folder, MUTEX))
  try {
    return await work(findLive(folder))
  } finally {
    mutex.release()
  }
}

/** Finds the instances that are alive, and removes the locks of others. */
function findLive(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const id = LOCK_NAME.exec(name)?.[1]
    if (id === undefined) return []
    const path = join(folder, name)
    const lock = tryLock(path, 'exclusive')
    if (lock === undefined) return [id]
    rmSync(path, { force: true })
    lock.release()
    return []
  })
}

async function waitForLock(path: string): Promise<HeldLock> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS
  for (;;) {
    const lock = tryLock(path, 'exclusive')
    if (lock !== undefined) return lock
    if (performance.now() >= deadline) throw new GitgateError('store', `${path} has been locked for a minute`)
    await delay(POLL_INTERVAL_MS)
  }
}

/**
 * Takes a shared or an exclusive lock on a file. The file stays empty, and is created if it is missing.
 *
 * @param timeoutMs how long to block the process while another one holds the lock
 * @returns `undefined` if another process still holds it
 */
export function tryLock(path: string, mode: 'shared' | 'exclusive', timeoutMs = 0): HeldLock | undefined {
  const database = new SQLite(path, { timeout: timeoutMs })
  try {
    // Nothing is ever written, so a full disk doesn't matter.
    database.exec(mode === 'exclusive' ? 'BEGIN EXCLUSIVE' : 'BEGIN; SELECT 1 FROM sqlite_schema')
  } catch (error) {
    database.close()
    if (hasSystemCode(error, 'SQLITE_BUSY')) return undefined
    throw error
  }
  heldLocks.add(database)
  return {
    release() {
      database.close()
      heldLocks.delete(database)
    },
  }
}
