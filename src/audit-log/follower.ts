import type { AuditRow } from '../audit/event.js'
import type { AuditStore } from '../audit/trail.js'

/** Where the rows of the trail are also told, as JSON. */
export type AuditTarget = {
  /** Names it, and nothing else does. */
  readonly name: string
  /** Tells rows, in their order. @throws when that failed; some may have arrived */
  write(rows: readonly AuditRow[]): Promise<void>
  close(): void
}

/** Where a follower notes how far it has come. */
export type Bookmarks = {
  readBookmark(name: string): Promise<number | undefined>
  writeBookmark(name: string, row: number): Promise<void>
}

const LOOK_EVERY = 500
const LONGEST_PAUSE = 60_000
const AT_ONCE = 500

/**
 * Tells every row of the trail to a target as it happens, whichever program wrote it, and after a stop goes on where it was.
 * While the target can't be reached the rows wait in the trail; a row may be told twice, and none is lost.
 */
export class AuditFollower {
  readonly #store: Pick<AuditStore, 'list' | 'head'>
  readonly #bookmarks: Bookmarks
  readonly #target: AuditTarget
  readonly #onError: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #pause = LOOK_EVERY
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  /** @param onError is told when a row could not be told; it will be tried again */
  constructor(
    store: Pick<AuditStore, 'list' | 'head'>,
    bookmarks: Bookmarks,
    target: AuditTarget,
    onError: (error: unknown) => void,
  ) {
    this.#store = store
    this.#bookmarks = bookmarks
    this.#target = target
    this.#onError = onError
  }

  /** Begins, where nothing was told yet, with what happens from now on. */
  async start(): Promise<void> {
    const { name } = this.#target
    if ((await this.#bookmarks.readBookmark(name)) === undefined)
      await this.#bookmarks.writeBookmark(name, (await this.#store.head()).id)
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
        const after = (await this.#bookmarks.readBookmark(name)) ?? 0
        const rows = await this.#store.list({ after, limit: AT_ONCE, oldestFirst: true })
        const last = rows.at(-1)
        if (last !== undefined) {
          await this.#target.write(rows)
          await this.#bookmarks.writeBookmark(name, last.id)
        }
        this.#pause = LOOK_EVERY
        if (rows.length < AT_ONCE) return
      }
    } catch (error) {
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
      this.#onError(error)
    }
  }
}
