import { randomFillSync } from 'node:crypto'
import { closeSync, fstatSync, openSync, renameSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { GitgateError, hasSystemCode } from '../core/errors.js'

// A revocation writes about 25 kB to SQLite's write-ahead log, which is reused once it has 4 MiB. The reserve holds more than that,
// so it lasts for thousands of revocations. A step is enough for ten.
const RESERVE_BYTES = 8 * 1_048_576
const STEP_BYTES = 262_144
// With less free space a gate doesn't start: the disk would be full immediately.
const MIN_FREE_BYTES = 1_048_576
// While the disk is full, the audit log or a job tries to write at least this often.
const FULL_AFTER_FAILURE_MS = 60_000

/** The space on the database's disk. A file beside the database keeps some of it in reserve. When the disk is full, a change that
 * takes rights away shortens the file and uses the freed space. From then on, all other changes are refused until the file is
 * complete again, so that they can't use up the reserve.
 * The file changes only under the database's write lock, which all processes of a gate and all commands share.
 */
export class DiskSpace {
  readonly #folder: string
  readonly #reserve: string
  #failedAt = -Infinity
  /** Whether the current transaction takes rights away, so that it may write although the reserve is in use. */
  isUrgent = false

  /**
   * @param folder of the database
   * @param reserve path of the reserve file, which may be missing
   */
  constructor(folder: string, reserve: string) {
    this.#folder = folder
    this.#reserve = reserve
  }

  /** Records a successful write. */
  wrote(): void {
    this.#failedAt = -Infinity
  }

  /** The error to throw for an error of the database: `disk-full` if the disk is full. */
  explain(error: unknown): unknown {
    return isDiskFull(error) ? this.#full(error) : error
  }

  /** Call it under the write lock. @throws GitgateError `disk-full` if the reserve is in use and can't be completed */
  requireComplete(): void {
    if (!this.#refill()) throw this.#full()
  }

  /** Whether the reserve is complete, so that every change may write. */
  isComplete(): boolean {
    const size = this.#size()
    return size === undefined || size >= RESERVE_BYTES
  }

  /** Whether any reserve is left. */
  hasReserve(): boolean {
    return (this.#size() ?? 0) > 0
  }

  /** Releases a part of the reserve to the file system. Call it under the write lock. */
  release(): void {
    if (this.hasReserve()) truncateSync(this.#reserve, Math.max(0, (this.#size() ?? 0) - STEP_BYTES))
  }

  /** Creates the reserve if it is missing. Call it under the write lock.
   * @throws GitgateError `disk-full` if there is no space
   */
  async prepare(): Promise<void> {
    if (this.#size() === undefined) this.#make()
    const { bavail, bsize } = await statfs(this.#folder)
    if (!this.#refill() || bavail * bsize < MIN_FREE_BYTES) throw diskFullIn(this.#folder)
  }

  /** Whether the disk is full: almost nothing is free, the reserve is in use, or the last write failed for lack of space. */
  async isFull(): Promise<boolean> {
    if (!this.isComplete() || performance.now() - this.#failedAt < FULL_AFTER_FAILURE_MS) return true
    const { bavail, bsize } = await statfs(this.#folder)
    return bavail * bsize < MIN_FREE_BYTES
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
    // One name is enough: the write lock excludes other processes, and a killed process's draft is overwritten.
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

/** The error for operators: unlike the one for clients, it names the folder. */
export function diskFullIn(folder: string, cause?: unknown): GitgateError {
  const message = `disk full: no space is left for ${folder}; free at least ${(RESERVE_BYTES + MIN_FREE_BYTES) / 1_048_576} MiB there and try again`
  return new GitgateError('disk-full', message, { cause })
}

/** Whether something failed because of a full disk, a quota or a limit on file sizes. */
export function isDiskFull(error: unknown): boolean {
  return (
    (error instanceof GitgateError && error.code === 'disk-full') ||
    // SQLite has no code of its own for quotas and limits: SQLITE_IOERR_WRITE.
    hasSystemCode(error, 'SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_SHMSIZE', 'ENOSPC', 'EDQUOT', 'EFBIG')
  )
}

/** Extends a file to the size of the reserve, with bytes that no file system can compress. */
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
