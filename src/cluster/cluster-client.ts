import type { QueueCounts } from '../protocol/backend.js'
import type { SlotResult } from '../git/admission/concurrency-limiter.js'
import { CountTable } from './failure-counts.js'
import type { Count, CountRules, FromWorker, RequestClass, WorkerInfo, ToWorker } from './messages.js'

/** A worker's view of a limiter that all workers share. */
export type SharedLimiter = {
  acquire(repository: string, account: string, signal: AbortSignal): Promise<SlotResult>
  /** The counts of all workers, as of a moment ago. */
  readonly counts: QueueCounts
  /** The counts of this worker. */
  readonly own: QueueCounts
}

type Question = Extract<FromWorker, { readonly kind: 'enter' | 'count' | 'metrics' | 'join' }>

/** A worker's side of what workers share: limits on concurrent git processes, counts of failed sign-ins, metrics. */
export class ClusterClient {
  readonly #send: (message: FromWorker) => void
  readonly #onReload: () => void
  readonly #pending = new Map<number, (answer: unknown) => void>()
  readonly #counts = new CountTable()
  #id = 0
  #queues: Readonly<Record<RequestClass, QueueCounts>> | undefined
  #measure: (() => Promise<unknown>) | undefined

  /** @param onReload called when certificates, keys and credentials are to be read again */
  constructor(send: (message: FromWorker) => void, onReload: () => void) {
    this.#send = send
    this.#onReload = onReload
  }

  /** Handles a message of the primary. */
  onMessage(message: ToWorker): void {
    switch (message.kind) {
      case 'answer':
        this.#pending.get(message.id)?.(message.answer)
        this.#pending.delete(message.id)
        break
      case 'counted':
        this.#counts.set(message.count)
        break
      case 'queues':
        this.#queues = message.queues
        break
      case 'heartbeat':
        this.#send(message)
        break
      case 'reload':
        this.#onReload()
        break
      case 'measure':
        void this.#reportMetrics(message.id)
    }
  }

  /** Joins the gate. */
  async join(): Promise<WorkerInfo> {
    return (await this.#ask((id) => ({ kind: 'join', id }))) as WorkerInfo
  }

  /** Reports that this worker listens. @param about for the log, and for commands that work beside the gate */
  listens(url: string, about: unknown): void {
    this.#send({ kind: 'listening', url, about })
  }

  /** Reports that it can't. */
  fails(code: string, message: string): void {
    this.#send({ kind: 'failed', code, message })
  }

  /** @param own reads this worker's metrics @returns what reads those of all workers */
  metrics(own: () => Promise<unknown>): () => Promise<string> {
    this.#measure = own
    return async () => String(await this.#ask((id) => ({ kind: 'metrics', id })))
  }

  /** A limiter that all workers share. */
  limiter(requestClass: RequestClass): SharedLimiter {
    const counts = { running: 0, waiting: 0 }
    const common = (): QueueCounts => this.#queues?.[requestClass] ?? counts
    return {
      own: counts,
      get counts() {
        return common()
      },
      acquire: async (repository, account, signal) => {
        if (signal.aborted) return { kind: 'left' }
        let id = 0
        const leave = (): void => this.#send({ kind: 'left', id })
        signal.addEventListener('abort', leave, { once: true })
        counts.waiting += 1
        const answer = await this.#ask((own) => ({
          kind: 'enter',
          id: (id = own),
          requestClass,
          repository,
          account,
        }))
        counts.waiting -= 1
        signal.removeEventListener('abort', leave)
        if (answer === 'overloaded' || answer === 'left') return { kind: answer }
        counts.running += 1
        return {
          kind: 'slot',
          release: () => {
            counts.running -= 1
            this.#send({ kind: 'ended', id })
          },
        }
      },
    }
  }

  /** Failed sign-ins, counted for all workers. Reading a count needs no message. */
  failures(rules: CountRules) {
    const read = (key: string): { consumedPoints: number } | null => {
      const count = this.#counts.get(rules, key)
      return count === undefined ? null : { consumedPoints: count.points }
    }
    const add = async (key: string, block?: number): Promise<{ consumedPoints: number }> => {
      const count = (await this.#ask((id) => ({
        kind: 'count',
        id,
        rules,
        key,
        ...(block === undefined ? {} : { block }),
      }))) as Count
      return { consumedPoints: count.points }
    }
    return {
      get: (key: string) => Promise.resolve(read(key)),
      penalty: (key: string) => add(key),
      block: (key: string, seconds: number) => add(key, seconds),
      reward: (key: string, points: number) => {
        this.#send({ kind: 'uncount', rules, key, points })
        return Promise.resolve()
      },
      delete: (key: string) => {
        // Nearly every request succeeds and has nothing to clear.
        if (read(key) !== null) this.#send({ kind: 'uncount', rules, key })
        return Promise.resolve()
      },
    }
  }

  async #reportMetrics(id: number): Promise<void> {
    // The primary reports a worker whose metrics can't be read as one that didn't answer.
    const metrics = await this.#measure?.().catch(() => undefined)
    this.#send({ kind: 'measured', id, metrics })
  }

  async #ask(question: (id: number) => Question): Promise<unknown> {
    const id = (this.#id += 1)
    return await new Promise((resolve) => {
      this.#pending.set(id, resolve)
      this.#send(question(id))
    })
  }
}
