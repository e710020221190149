import type { AuditRow } from '../domain/audit/event.js'
import type { AuditStore, ExportFailure } from '../domain/audit/audit-log.js'
import type { Clock } from '../core/clock.js'
import { messageOf } from '../core/errors.js'

/** A target that audit events are exported to, as JSON. */
export type AuditTarget = {
  /** A unique name. */
  readonly name: string
  /** Writes rows in their order. @throws if that failed; some rows may have arrived */
  write(rows: readonly AuditRow[]): Promise<void>
  close(): void
}

/** Where a follower records its progress and its failure, for readiness, metrics and the doctor. */
export type ExportProgress = {
  readBookmark(name: string): Promise<number | undefined>
  writeBookmark(name: string, row: number): Promise<void>
  readExportFailure(name: string): Promise<ExportFailure | undefined>
  writeExportFailure(name: string, failure: ExportFailure | undefined): Promise<void>
}

const MAX_RETRY_DELAY_MS = 60_000
const BATCH_ROWS = 500

/** Exports each row of the audit log to a target as it is written, by whichever program, and continues after a restart where it
 * stopped. While the target can't be reached, rows wait in the audit log. A row may be sent twice; none is lost.
 */
export class AuditFollower {
  readonly #store: Pick<AuditStore, 'list' | 'head'>
  readonly #progress: ExportProgress
  readonly #target: AuditTarget
  readonly #options: FollowerOptions
  #timer: NodeJS.Timeout | undefined
  #delayMs: number
  #polling: Promise<void> = Promise.resolve()
  #isClosed = false
  /** The last row that the target accepted, even if the bookmark could not be written. */
  #exported = 0
  /** The failure that was recorded last. */
  #failure: ExportFailure | undefined

  constructor(
    store: Pick<AuditStore, 'list' | 'head'>,
    progress: ExportProgress,
    target: AuditTarget,
    options: FollowerOptions,
  ) {
    this.#store = store
    this.#progress = progress
    this.#target = target
    this.#options = options
    this.#delayMs = options.pollMs
  }

  /** Starts the export. A new target gets only events from now on. */
  async start(): Promise<void> {
    const { name } = this.#target
    if ((await this.#progress.readBookmark(name)) === undefined)
      await this.#progress.writeBookmark(name, (await this.#store.head()).id)
    this.#failure = await this.#progress.readExportFailure(name)
    this.#schedule()
  }

  /** Exports the remaining rows and stops. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#polling
    await this.#poll()
    this.#target.close()
  }

  #schedule(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll().then(() => this.#schedule())
    }, this.#delayMs).unref()
  }

  async #poll(): Promise<void> {
    try {
      const { name } = this.#target
      for (;;) {
        const bookmark = (await this.#progress.readBookmark(name)) ?? 0
        const after = Math.max(bookmark, this.#exported)
        const rows = await this.#store.list({ after, limit: BATCH_ROWS, oldestFirst: true })
        const last = rows.at(-1)
        if (last !== undefined) {
          await this.#target.write(rows)
          // On a full disk the bookmark can't be written, and the same rows would be sent again and again.
          this.#exported = last.id
        }
        if (this.#exported > bookmark) await this.#progress.writeBookmark(name, this.#exported)
        this.#delayMs = this.#options.pollMs
        if (rows.length < BATCH_ROWS) break
      }
      if (this.#failure !== undefined) await this.#recordFailure(undefined)
    } catch (error) {
      this.#delayMs = Math.min(this.#delayMs * 2, MAX_RETRY_DELAY_MS)
      this.#options.onError(error)
      if (this.#failure === undefined)
        await this.#recordFailure({ since: this.#options.clock(), message: messageOf(error) }).catch(
          this.#options.onError,
        )
    }
  }

  async #recordFailure(failure: ExportFailure | undefined): Promise<void> {
    await this.#progress.writeExportFailure(this.#target.name, failure)
    this.#failure = failure
  }
}

type FollowerOptions = {
  /** Time between two polls; longer after each failure. */
  readonly pollMs: number
  readonly clock: Clock
  /** Called with each failure; the rows are sent again later. */
  readonly onError: (error: unknown) => void
}
