import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import SQLite from 'better-sqlite3'
import { GitgateError, hasSystemCode } from './errors.js'

/** Somebody who uses a folder that gates share: a gate, a worker, a command. */
export type Instance = { readonly id: string; release(): Promise<void> }

/** A lock on a file, held until it is released or the process ends. */
export type HeldLock = { release(): void }

const MUTEX = 'lock'
const LOCK_NAME = /^([\w-]+)\.lock$/
const POLL_INTERVAL_MS = 20
const LOCK_TIMEOUT_MS = 60_000

// A connection that nothing refers to is closed by the garbage collector, and its lock is lost.
const heldLocks = new Set<SQLite.Database>()

/** A random name that no other instance has. */
export function newInstanceId(): string {
  return randomBytes(8).toString('hex')
}

/**
 * Joins the instances that use a folder. An instance is alive as long as a process holds a lock on its file. A process ID would not
 * tell: each container has a process 1. The kernel releases the lock when the process ends, however it ends. SQLite takes the lock,
 * since Node can't: it works wherever the database itself does, and git doesn't inherit it (fcntl, not flock).
 *
 * @param folder where the locks are; must exist
 * @param id several processes of one gate may share one
 * @param whileLocked runs before anybody else can join, and is told who is alive already
 */
export async function joinInstances(
  folder: string,
  id: string,
  whileLocked: (live: readonly string[]) => Promise<void> | void = () => undefined,
): Promise<Instance> {
  return await lockInstances(folder, async (live) => {
    const lock = tryLock(join(folder, `${id}.lock`), 'shared')
    if (lock === undefined) throw new GitgateError('store', `the lock of ${id} in ${folder} is held by a stranger`)
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
        // Removes the lock's file, unless others of the gate hold it. Where the folder is gone there is none.
        await lockInstances(folder, () => undefined).catch(() => undefined)
      },
    }
  })
}

/** Runs something while nobody joins. @param work is told who is alive */
export async function lockInstances<T>(folder: string, work: (live: readonly string[]) => Promise<T> | T): Promise<T> {
  const mutex = await waitForLock(join(folder, MUTEX))
  try {
    return await work(findLive(folder))
  } finally {
    mutex.release()
  }
}

/** Finds who is alive, and removes the locks of the dead. */
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
 * Takes a lock on a file, which many may share or one may hold alone. The file stays empty; it is made where there is none.
 *
 * @param timeoutMs blocks the process for so long while another holds it
 * @returns `undefined` where another still holds it
 */
export function tryLock(path: string, mode: 'shared' | 'exclusive', timeoutMs = 0): HeldLock | undefined {
  const database = new SQLite(path, { timeout: timeoutMs })
  try {
    // Nothing is ever written: a full disk is no obstacle.
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
