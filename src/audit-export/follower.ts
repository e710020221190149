import type { AuditRow } from '../domain/audit/event.js'
import type { AuditStore, ExportFailure } from '../domain/audit/audit-log.js'
import type { Clock } from '../core/clock.js'
import { messageOf } from '../core/errors.js'

/** Where the rows of the audit log are also told, as JSON. */
export type AuditTarget = {
  /** Names it, and nothing else does. */
  readonly name: string
  /** Tells rows, in their order. @throws when that failed; some may have arrived */
  write(rows: readonly AuditRow[]): Promise<void>
  close(): void
}

/** Where a follower notes how far it has come, and why it comes no further: for readiness, metrics and the doctor. */
export type ExportNotes = {
  readBookmark(name: string): Promise<number | undefined>
  writeBookmark(name: string, row: number): Promise<void>
  readExportFailure(name: string): Promise<ExportFailure | undefined>
  writeExportFailure(name: string, failure: ExportFailure | undefined): Promise<void>
}

const LONGEST_PAUSE_MS = 60_000
const BATCH_ROWS = 500

/**
 * Tells every row of the audit log to a target as it happens, whichever program wrote it, and after a stop goes on where it was.
 * While the target can't be reached the rows wait in the audit log; a row may be told twice, and none is lost.
 */
export class AuditFollower {
  readonly #store: Pick<AuditStore, 'list' | 'head'>
  readonly #notes: ExportNotes
  readonly #target: AuditTarget
  readonly #options: FollowerOptions
  #timer: NodeJS.Timeout | undefined
  #pause: number
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false
  /** The last row that the target took, where it could not be noted. */
  #told = 0
  /** What was noted last. */
  #failure: ExportFailure | undefined

  constructor(
    store: Pick<AuditStore, 'list' | 'head'>,
    notes: ExportNotes,
    target: AuditTarget,
    options: FollowerOptions,
  ) {
    this.#store = store
    this.#notes = notes
    this.#target = target
    this.#options = options
    this.#pause = options.pollMs
  }

  /** Begins, where nothing was told yet, with what happens from now on. */
  async start(): Promise<void> {
    const { name } = this.#target
    if ((await this.#notes.readBookmark(name)) === undefined)
      await this.#notes.writeBookmark(name, (await this.#store.head()).id)
    this.#failure = await this.#notes.readExportFailure(name)
    this.#schedule()
  }

  /** Tells what is there still, and ends. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#looking
    await this.#look()
    this.#target.close()
  }

  #schedule(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(() => this.#schedule())
    }, this.#pause).unref()
  }

  async #look(): Promise<void> {
    try {
      const { name } = this.#target
      for (;;) {
        const noted = (await this.#notes.readBookmark(name)) ?? 0
        const after = Math.max(noted, this.#told)
        const rows = await this.#store.list({ after, limit: BATCH_ROWS, oldestFirst: true })
        const last = rows.at(-1)
        if (last !== undefined) {
          await this.#target.write(rows)
          // Where the disk is full the bookmark stays behind, and the same rows would be told at each look.
          this.#told = last.id
        }
        if (this.#told > noted) await this.#notes.writeBookmark(name, this.#told)
        this.#pause = this.#options.pollMs
        if (rows.length < BATCH_ROWS) break
      }
      if (this.#failure !== undefined) await this.#noteFailure(undefined)
    } catch (error) {
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
      this.#options.onError(error)
      if (this.#failure === undefined)
        await this.#noteFailure({ since: this.#options.clock(), message: messageOf(error) }).catch(
          this.#options.onError,
        )
    }
  }

  async #noteFailure(failure: ExportFailure | undefined): Promise<void> {
    await this.#notes.writeExportFailure(this.#target.name, failure)
    this.#failure = failure
  }
}

type FollowerOptions = {
  /** Between two looks; longer after each failure. */
  readonly pollMs: number
  readonly clock: Clock
  /** Called with each failure; the rows will be sent again. */
  readonly onError: (error: unknown) => void
}
