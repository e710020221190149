import type { QueueCounts } from '../protocol/backend.js'
import type { SlotResult } from '../git/admission/concurrency-limiter.js'
import { CountTable } from './counts.js'
import type { Count, CountRules, FromWorker, RequestClass, WorkerInfo, ToWorker } from './messages.js'

/** A worker's view of a limiter shared by all workers. */
export type SharedLimiter = {
  acquire(repository: string, account: string, signal: AbortSignal): Promise<SlotResult>
  /** Of all workers, as they were a moment ago. */
  readonly counts: QueueCounts
  /** Of this one. */
  readonly own: QueueCounts
}

type Ask = Extract<FromWorker, { readonly kind: 'enter' | 'count' | 'metrics' | 'join' }>

/** A worker's side of what workers share: limits on concurrent git processes, failures to sign in, metrics. */
export class ClusterClient {
  readonly #send: (message: FromWorker) => void
  readonly #asked = new Map<number, (answer: unknown) => void>()
  readonly #counts = new CountTable()
  #id = 0
  #queues: Readonly<Record<RequestClass, QueueCounts>> | undefined
  #measure: (() => Promise<unknown>) | undefined

  constructor(send: (message: FromWorker) => void) {
    this.#send = send
  }

  /** What the first process says. */
  onMessage(message: ToWorker): void {
    switch (message.kind) {
      case 'answer':
        this.#asked.get(message.id)?.(message.answer)
        this.#asked.delete(message.id)
        break
      case 'counted':
        this.#counts.set(message.count)
        break
      case 'queues':
        this.#queues = message.queues
        break
      case 'measure':
        void this.#measure?.().then((metrics) => this.#send({ kind: 'measured', id: message.id, metrics }))
    }
  }

  /** Begins to take part. */
  async join(): Promise<WorkerInfo> {
    return (await this.#ask((id) => ({ kind: 'join', id }))) as WorkerInfo
  }

  /** That this worker listens. @param about for the log, and for commands that work beside the gate */
  listens(url: string, about: unknown): void {
    this.#send({ kind: 'listening', url, about })
  }

  /** That it can't. */
  fails(code: string, message: string): void {
    this.#send({ kind: 'failed', code, message })
  }

  /** The metrics of all workers. @param own those of this one */
  metrics(own: () => Promise<unknown>): () => Promise<string> {
    this.#measure = own
    return async () => String(await this.#ask((id) => ({ kind: 'metrics', id })))
  }

  /** A limiter shared by all workers. */
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

  /** Failures to sign in, counted among all workers; reading them asks nobody. */
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
        // Nearly every request is a success, and has nothing to clear.
        if (read(key) !== null) this.#send({ kind: 'uncount', rules, key })
        return Promise.resolve()
      },
    }
  }

  async #ask(question: (id: number) => Ask): Promise<unknown> {
    const id = (this.#id += 1)
    return await new Promise((resolve) => {
      this.#asked.set(id, resolve)
      this.#send(question(id))
    })
  }
}
