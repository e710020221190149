import { randomFillSync } from 'node:crypto'
import { closeSync, fstatSync, openSync, renameSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { GitgateError, hasSystemCode } from '../core/errors.js'

// A revocation writes some 25 kB to SQLite's log, which starts anew at 4 MiB: the whole lets that happen, so that it lasts for
// thousands; a step is enough for ten.
const RESERVE_BYTES = 8 * 1_048_576
const STEP_BYTES = 262_144
// With less than this a gate does not start: it would be full at once.
const LEAST_FREE_BYTES = 1_048_576
// While a disk is full, something tries to write at least as often: the audit log, or a job.
const FULL_FOR_MS = 60_000

/**
 * The space of the database on its disk. A file beside the database keeps some of it in reserve. When the disk is full, a change that
 * takes a right away gives a part of that file back to the file system and uses it. From then on all other changes
 * are refused until the file has its size again, so that none of them takes what was freed.
 *
 * The file is changed under the database's write lock alone, which all processes of a gate and all commands share.
 */
export class DiskSpace {
  readonly #folder: string
  readonly #reserve: string
  #failedAt = -Infinity
  /** Whether the transaction that is under way takes a right away: it may write although the reserve is in use. */
  isUrgent = false

  /**
   * @param folder of the database
   * @param reserve the file; without one nothing is in reserve
   */
  constructor(folder: string, reserve: string) {
    this.#folder = folder
    this.#reserve = reserve
  }

  /** Notes that something was written. */
  wrote(): void {
    this.#failedAt = -Infinity
  }

  /** What to throw for an error of the database: another one where the disk is full. */
  explain(error: unknown): unknown {
    return isDiskFull(error) ? this.#full(error) : error
  }

  /** Under the write lock. @throws GitgateError `disk-full` where the reserve is in use and can't be made complete again */
  requireComplete(): void {
    if (!this.#refill()) throw this.#full()
  }

  /** Whether nothing of the reserve is in use, so that all may write. */
  isComplete(): boolean {
    const size = this.#size()
    return size === undefined || size >= RESERVE_BYTES
  }

  /** Whether there is something to release. */
  hasReserve(): boolean {
    return (this.#size() ?? 0) > 0
  }

  /** Gives a part of the reserve back to the file system. Under the write lock. */
  release(): void {
    if (this.hasReserve()) truncateSync(this.#reserve, Math.max(0, (this.#size() ?? 0) - STEP_BYTES))
  }

  /**
   * Makes the reserve where there is none. Under the write lock.
   *
   * @throws GitgateError `disk-full` when there is no space
   */
  async prepare(): Promise<void> {
    if (this.#size() === undefined) this.#make()
    const { bavail, bsize } = await statfs(this.#folder)
    if (!this.#refill() || bavail * bsize < LEAST_FREE_BYTES) throw diskFullIn(this.#folder)
  }

  /** Whether the disk is full: next to nothing is free, the reserve is in use, or what was written last failed for that. */
  async isFull(): Promise<boolean> {
    if (!this.isComplete() || performance.now() - this.#failedAt < FULL_FOR_MS) return true
    const { bavail, bsize } = await statfs(this.#folder)
    return bavail * bsize < LEAST_FREE_BYTES
  }

  #refill(): boolean {
    if (this.isComplete()) return true
    try {
      fill(this.#reserve, 'r+')
      return true
    } catch (error) {
      if (isDiskFull(error)) return false
      throw error
    }
  }

  #full(cause?: unknown): GitgateError {
    this.#failedAt = performance.now()
    // Clients read it, too: no path.
    const message = "disk full: the database can't be written; free space on the disk of the data folder and try again"
    return new GitgateError('disk-full', message, { cause })
  }

  #size(): number | undefined {
    return statSync(this.#reserve, { throwIfNoEntry: false })?.size
  }

  #make(): void {
    // One name for all: the write lock keeps others away, and what a killed process left is written over.
    const draft = `${this.#reserve}.draft`
    try {
      fill(draft, 'w')
      renameSync(draft, this.#reserve)
    } catch (error) {
      rmSync(draft, { force: true })
      throw isDiskFull(error) ? diskFullIn(this.#folder, error) : error
    }
  }
}

/** That there is no space left, for who can see to it. */
export function diskFullIn(folder: string, cause?: unknown): GitgateError {
  const message = `disk full: no space is left for ${folder}; free at least ${(RESERVE_BYTES + LEAST_FREE_BYTES) / 1_048_576} MiB there and try again`
  return new GitgateError('disk-full', message, { cause })
}

/** Whether something failed for want of space: on the disk, of a quota, or by a limit on the size of files. */
export function isDiskFull(error: unknown): boolean {
  return (
    (error instanceof GitgateError && error.code === 'disk-full') ||
    // SQLite has no code of its own for quotas and limits: SQLITE_IOERR_WRITE.
    hasSystemCode(error, 'SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_SHMSIZE', 'ENOSPC', 'EDQUOT', 'EFBIG')
  )
}

/** Writes a file on to the size of the reserve, with bytes that no file system can compress. */
function fill(path: string, flags: 'r+' | 'w'): void {
  const file = openSync(path, flags, 0o600)
  try {
    const noise = randomFillSync(Buffer.alloc(STEP_BYTES))
    for (let size = fstatSync(file).size; size < RESERVE_BYTES;) {
      const length = Math.min(STEP_BYTES, RESERVE_BYTES - size)
      size += writeSync(file, noise, 0, length, size)
    }
  } finally {
    closeSync(file)
  }
}
