import { MINUTE } from '../../core/clock.js'
import type { AuditEvent } from './event.js'
import type { AuditStore } from './audit-log.js'

const LONGEST_PAUSE = 10_000
// While the store can't be written: some hundred megabytes of memory.
const MAX_WAITING = 200_000
// In one transaction, which holds up others meanwhile.
const MAX_BATCH = 500

/**
 * Notes what happens at every request without a write on its way: rows are gathered, and written together after a moment. What must
 * not be lost does not come this way: changes are recorded with the change, pushes before they are handed over.
 */
export class AuditRecorder {
  readonly #flushMs: number
  readonly #store: Pick<AuditStore, 'record'>
  readonly #onError: (error: unknown, lost: number) => void
  readonly #refusals = new Refusals()
  #waiting: AuditEvent[] = []
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #minute: NodeJS.Timeout | undefined
  #pause: number

  /**
   * @param onError is told when a write failed; the rows are kept for the next one, as long as there is room
   * @param flushMs milliseconds until what waits is written
   */
  constructor(store: Pick<AuditStore, 'record'>, onError: (error: unknown, lost: number) => void, flushMs: number) {
    this.#flushMs = flushMs
    this.#pause = flushMs
    this.#store = store
    this.#onError = onError
  }

  /** Notes an event, to be written in a moment. */
  note(event: AuditEvent): void {
    this.#waiting.push(event)
    this.#schedule()
  }

  /** Notes a refusal; those that repeat within a minute become one row. */
  noteRefusal(event: AuditEvent): void {
    if (this.#refusals.isFirst(event)) this.note(event)
    this.#minute ??= setTimeout(() => this.#endMinute(), MINUTE).unref()
  }

  /** Writes an event at once, with those that wait before it. @throws what the store throws; then it was not written */
  async write(event: AuditEvent): Promise<void> {
    const before = this.#waiting.splice(0, MAX_BATCH)
    try {
      await this.#store.record([...before, event])
    } catch (error) {
      this.#keep(before, error)
      throw error
    }
  }

  /** Writes what waits. Called at the end, too, so that a clean stop loses nothing. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Writes everything, also what would have become one row with others. */
  async close(): Promise<void> {
    this.#endMinute()
    await this.flush()
  }

  #endMinute(): void {
    clearTimeout(this.#minute)
    this.#minute = undefined
    for (const event of this.#refusals.take()) this.note(event)
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH)
      try {
        await this.#store.record(batch)
        this.#pause = this.#flushMs
      } catch (error) {
        this.#keep(batch, error)
        return
      }
    }
  }

  /** Keeps what could not be written for the next time. */
  #keep(batch: readonly AuditEvent[], error: unknown): void {
    if (batch.length === 0) return
    this.#waiting = [...batch, ...this.#waiting]
    const lost = Math.max(0, this.#waiting.length - MAX_WAITING)
    this.#waiting.splice(0, lost)
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
    this.#schedule()
    this.#onError(error, lost)
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.flush(), this.#pause).unref()
  }
}

// More kinds of refusals than this within a minute are somebody who tries addresses or names out.
const MAX_KINDS = 1_000
const OTHERS = 'others'
// They are of many.
const NOBODY_IN_PARTICULAR = { accountId: null, username: null, tokenId: null, ip: null, repository: null }

/**
 * Keeps refusals that repeat from filling the disk: the first of a kind is told at once, the others as one row that says
 * how often. A kind is the same address, account, token, repository, service and rule.
 */
export class Refusals {
  #kinds = new Map<string, { event: AuditEvent; more: number }>()

  /** @returns whether it is the first of its kind */
  isFirst(event: AuditEvent): boolean {
    const own = kindOf(event)
    const isOther = !this.#kinds.has(own) && this.#kinds.size >= MAX_KINDS
    const key = isOther ? OTHERS : own
    const known = this.#kinds.get(key)
    const kept = isOther ? { ...event, ...NOBODY_IN_PARTICULAR } : event
    const before = known?.more ?? (isOther ? 0 : -1)
    this.#kinds.set(key, { event: kept, more: before + 1 })
    return known === undefined && !isOther
  }

  /** Forgets all kinds. @returns what repeated, each once */
  take(): AuditEvent[] {
    const repeated = [...this.#kinds.values()].filter(({ more }) => more > 0)
    this.#kinds = new Map()
    return repeated.map(({ event, more }) => ({ ...event, details: { ...event.details, repeated: more } }))
  }
}

function kindOf({ action, rule, ip, username, tokenId, repository, service }: AuditEvent): string {
  return JSON.stringify([action, rule, ip, username, tokenId, repository, service])
}
