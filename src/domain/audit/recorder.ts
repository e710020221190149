import { MINUTE } from '../../core/clock.js'
import type { AuditEvent } from './event.js'
import type { AuditStore } from './audit-log.js'

const MAX_RETRY_DELAY_MS = 10_000
// While the store can't be written, they take a few hundred megabytes of memory.
const MAX_WAITING_EVENTS = 200_000
// Pushes list many refs.
const MAX_WAITING_BYTES = 256 * 1024 * 1024
const EVENT_BYTES = 1_000
const REF_BYTES = 250
// One transaction, which blocks other writers for some ten milliseconds.
const MAX_BATCH_ROWS = 500

/**
 * Records the events of requests without delaying them: events are collected and written together a moment later. Events that must
 * not be lost take other ways: changes are recorded in their own transaction, pushes before the backend gets them.
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
   * @param onError called when a write failed; its events are kept for the next one, up to a limit
   * @param flushMs milliseconds until collected events are written
   */
  constructor(store: Pick<AuditStore, 'record'>, onError: (error: unknown, lost: number) => void, flushMs: number) {
    this.#flushMs = flushMs
    this.#pause = flushMs
    this.#store = store
    this.#onError = onError
  }

  /** Records an event, which is written in a moment. */
  note(event: AuditEvent): void {
    this.#waiting.push(event)
    this.#schedule()
  }

  /** Records a refusal; repetitions within a minute become one event. */
  noteRefusal(event: AuditEvent): void {
    if (this.#refusals.isFirst(event)) this.note(event)
    this.#minute ??= setTimeout(() => this.#endMinute(), MINUTE).unref()
  }

  /** Writes an event at once, after those that wait. @throws what the store throws; then it was not written */
  async write(event: AuditEvent): Promise<void> {
    const before = this.#takeBatch()
    try {
      await this.#store.record([...before, event])
    } catch (error) {
      this.#keep(before, error)
      throw error
    }
  }

  /** Writes the events that wait. Called on shutdown, too, so that a clean stop loses nothing. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  /** Writes everything, including the repetitions of this minute. */
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
      const batch = this.#takeBatch()
      try {
        await this.#store.record(batch)
        this.#pause = this.#flushMs
      } catch (error) {
        this.#keep(batch, error)
        return
      }
    }
  }

  /** Takes what one transaction writes of the events that wait: the first event, and more while they are small. */
  #takeBatch(): AuditEvent[] {
    let rows = 0
    const end = this.#waiting.findIndex((event, index) => (rows += rowsOf(event)) > MAX_BATCH_ROWS && index > 0)
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end)
  }

  /** Keeps a batch that could not be written. */
  #keep(batch: readonly AuditEvent[], error: unknown): void {
    if (batch.length === 0) return
    this.#waiting = [...batch, ...this.#waiting]
    const lost = this.#waiting.length - countKept(this.#waiting)
    this.#waiting.splice(0, lost)
    this.#pause = Math.min(this.#pause * 2, MAX_RETRY_DELAY_MS)
    this.#schedule()
    this.#onError(error, lost)
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.flush(), this.#pause).unref()
  }
}

/** How many of the last events may wait. */
function countKept(events: readonly AuditEvent[]): number {
  let bytes = 0
  const tooOld = events.findLastIndex((event) => (bytes += bytesOf(event)) > MAX_WAITING_BYTES)
  return Math.min(events.length - 1 - tooOld, MAX_WAITING_EVENTS)
}

/** About how much memory an event takes. */
function bytesOf(event: AuditEvent): number {
  let bytes = EVENT_BYTES
  for (const { ref } of event.refs ?? []) bytes += REF_BYTES + ref.length
  for (const { ref } of rejectedOf(event)) bytes += REF_BYTES + ref.length
  return bytes
}

/** How many rows an event is worth: each ref of a push takes about as many bytes, and as long to write, as a small event. */
function rowsOf(event: AuditEvent): number {
  return 1 + (event.refs?.length ?? 0) + rejectedOf(event).length
}

function rejectedOf({ details }: AuditEvent): readonly { readonly ref: string }[] {
  return (details?.['rejected'] ?? []) as readonly { readonly ref: string }[]
}

// More kinds of refusals than this within a minute mean that somebody is trying out addresses or names.
const MAX_KINDS = 1_000
const OTHERS = 'others'
// The others come from many.
const WITHOUT_PRINCIPAL = { accountId: null, username: null, tokenId: null, ip: null, repository: null }

/**
 * Keeps repeated refusals from filling the disk: the first of a kind is recorded at once, the others as one event with their number.
 * Refusals of a kind have the same address, account, token, repository, service and rule.
 */
class Refusals {
  #kinds = new Map<string, { event: AuditEvent; more: number }>()

  /** @returns whether it is the first of its kind */
  isFirst(event: AuditEvent): boolean {
    const own = kindOf(event)
    const isOther = !this.#kinds.has(own) && this.#kinds.size >= MAX_KINDS
    const key = isOther ? OTHERS : own
    const known = this.#kinds.get(key)
    const kept = isOther ? { ...event, ...WITHOUT_PRINCIPAL } : event
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
