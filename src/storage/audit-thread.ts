import { Worker } from 'node:worker_threads'
import type { AuditEvent } from '../domain/audit/event.js'
import type { AuditStore } from '../domain/audit/audit-log.js'
import { GitgateError } from '../core/errors.js'

// Writing 400 rows takes 4 ms of the main thread. Larger batches are worth the 20 MB of a thread.
const THREAD_THRESHOLD_ROWS = 200
// The thread ends by itself once it has written everything.
const CLOSE_TIMEOUT_MS = 5_000

/** Where the thread finds the audit log. */
export type AuditThreadData = { readonly data: string; readonly keyFile: string | undefined }

/** Events to write, as JSON. */
export type Batch = { readonly id: number; readonly events: string }

/** `failure`: why the batch was not written. */
export type BatchResult = { readonly id: number; readonly failure?: string }

type Job = { readonly resolve: () => void; readonly reject: (error: Error) => void }

/**
 * Writes large batches of audit events in a thread of its own: writing takes ten times as long as handing over, and this keeps it
 * off the main thread. Small batches are written directly.
 */
export class AuditThread implements Pick<AuditStore, 'record'> {
  readonly #options: AuditThreadData
  readonly #here: Pick<AuditStore, 'record'>
  readonly #jobs = new Map<number, Job>()
  #thread: Worker | undefined
  #last = 0

  /**
   * @param options where the audit log is
   * @param here writes it from this thread
   */
  constructor(options: AuditThreadData, here: Pick<AuditStore, 'record'>) {
    this.#options = options
    this.#here = here
  }

  /** Adds events. @throws what the store throws; GitgateError `store` where the thread ended meanwhile */
  async record(events: readonly AuditEvent[]): Promise<void> {
    // Writing one push of 20,000 refs takes 250 ms.
    const rows = events.reduce((sum, { refs }) => sum + 1 + (refs?.length ?? 0), 0)
    if (rows < THREAD_THRESHOLD_ROWS) await this.#here.record(events)
    else await this.#recordThere(events)
  }

  /** Ends the thread once everything is written. */
  async close(): Promise<void> {
    const thread = this.#thread
    if (thread === undefined) return
    const ended = new Promise((resolve) => thread.once('exit', resolve))
    const tooLong = setTimeout(() => void thread.terminate(), CLOSE_TIMEOUT_MS)
    thread.ref()
    thread.postMessage('end')
    await ended
    clearTimeout(tooLong)
  }

  #recordThere(events: readonly AuditEvent[]): Promise<void> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#jobs.set(id, { resolve, reject })
      // As one text, because cloning a thousand objects takes several times as long.
      const thread = this.#running()
      // The process must not exit before the batch is written.
      thread.ref()
      thread.postMessage({ id, events: JSON.stringify(events) } satisfies Batch)
    })
  }

  #running(): Worker {
    if (this.#thread !== undefined) return this.#thread
    const thread = new Worker(new URL('./audit-thread-run.js', import.meta.url), {
      workerData: { data: this.#options.data, keyFile: this.#options.keyFile } satisfies AuditThreadData,
    })
    let reason = 'the thread that writes the audit log has ended'
    thread.on('message', ({ id, failure }: BatchResult) => {
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
