import { Worker } from 'node:worker_threads'
import type { AuditEvent } from '../domain/audit/event.js'
import type { AuditStore } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'

// 400 rows a second are 4 ms of every second; more of them, or of the refs in them, are worth a thread's 20 MB.
const MANY = 200
// Until the thread has ended by itself, which it does as soon as it has written what it was given.
const LONGEST_END = 5_000

/** Where the trail is, for the thread to open it. */
export type TrailPlace = { readonly data: string; readonly keyFile: string | undefined }

/** Events to write, as JSON. */
export type Batch = { readonly id: number; readonly events: string }

/** What became of a batch; `failure`: why it was not written. */
export type TrailReply = { readonly id: number; readonly failure?: string }

type Job = { readonly resolve: () => void; readonly reject: (error: Error) => void }

/**
 * Writes the rows of requests from a thread of its own while there are many: to write one takes ten times as long as to
 * hand it over, and that time is not taken from the requests of the main thread. Few are written where they are.
 */
export class AuditThread implements Pick<AuditStore, 'record'> {
  readonly #place: TrailPlace
  readonly #here: Pick<AuditStore, 'record'>
  readonly #jobs = new Map<number, Job>()
  #thread: Worker | undefined
  #last = 0

  /**
   * @param place where the trail is
   * @param here what writes it from this thread
   */
  constructor(place: TrailPlace, here: Pick<AuditStore, 'record'>) {
    this.#place = place
    this.#here = here
  }

  /** Adds events. @throws what the store throws; GitgateError `store` where the thread ended meanwhile */
  async record(events: readonly AuditEvent[]): Promise<void> {
    // To write one push of 20,000 refs takes a quarter of a second.
    const size = events.reduce((sum, { refs }) => sum + 1 + (refs?.length ?? 0), 0)
    if (size < MANY) await this.#here.record(events)
    else await this.#recordThere(events)
  }

  /** Ends the thread; what it was given is written before. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === undefined) return
    const ended = new Promise((resolve) => thread.once('exit', resolve))
    const tooLong = setTimeout(() => void thread.terminate(), LONGEST_END)
    thread.ref()
    thread.postMessage('end')
    await ended
    clearTimeout(tooLong)
  }

  #recordThere(events: readonly AuditEvent[]): Promise<void> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#jobs.set(id, { resolve, reject })
      // As one text: cloning a thousand objects takes several times as long.
      const thread = this.#running()
      // What is being written keeps the process alive.
      thread.ref()
      thread.postMessage({ id, events: JSON.stringify(events) } satisfies Batch)
    })
  }

  #running(): Worker {
    if (this.#thread !== undefined) return this.#thread
    const thread = new Worker(new URL('./audit-thread-run.js', import.meta.url), {
      workerData: { data: this.#place.data, keyFile: this.#place.keyFile } satisfies TrailPlace,
    })
    let reason = 'the thread that writes the audit trail has ended'
    thread.on('message', ({ id, failure }: TrailReply) => {
      const job = this.#jobs.get(id)
      this.#jobs.delete(id)
      if (this.#jobs.size === 0) thread.unref()
      if (failure === undefined) job?.resolve()
      else job?.reject(new GitgateError('store', failure))
    })
    thread.on('error', (error) => (reason = `${reason}: ${error.message}`))
    thread.on('exit', () => {
      this.#thread = undefined
      const lost = [...this.#jobs.values()]
      this.#jobs.clear()
      for (const { reject } of lost) reject(new GitgateError('store', reason))
    })
    this.#thread = thread
    return thread
  }
}
