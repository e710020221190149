import type { QueueCounts } from '../protocol/backend.js'

/** Requests that have a limit and a queue of their own. */
export type RequestClass = 'refs' | 'packs' | 'pushes'

/** How failures to sign in are counted: points, within seconds. */
export type CountRules = { readonly points: number; readonly duration: number }

/** How often an address has failed, and until when that counts. */
export type Count = {
  readonly rules: CountRules
  readonly key: string
  readonly points: number
  readonly until: number
}

/** What a worker knows about itself and the gate. */
export type WorkerInfo = {
  readonly index: number
  /** How many workers there are. */
  readonly count: number
  /** The folder of the workers' sockets. */
  readonly folder: string
  /** The gate's name in `Via`, the same in all workers. */
  readonly pseudonym: string
}

/** A message to the primary. `enter`, `count`, `metrics` and `join` are answered by an `answer` with the same ID. */
export type FromWorker =
  | { readonly kind: 'listening'; readonly url: string; readonly about: unknown }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'left'; readonly id: number }
  | { readonly kind: 'ended'; readonly id: number }
  /** Takes failures back: all, or as many as `points` says. */
  | { readonly kind: 'uncount'; readonly rules: CountRules; readonly key: string; readonly points?: number }
  | { readonly kind: 'measured'; readonly id: number; readonly metrics: unknown }
  | {
      readonly kind: 'enter'
      readonly id: number
      readonly requestClass: RequestClass
      readonly repository: string
      readonly account: string
    }
  | {
      readonly kind: 'count'
      readonly id: number
      readonly rules: CountRules
      readonly key: string
      readonly block?: number
    }
  | { readonly kind: 'metrics' | 'join'; readonly id: number }

/** A message to a worker. It returns a `heartbeat`, and answers `measure` with `measured`. */
export type ToWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'counted'; readonly count: Count }
  | { readonly kind: 'measure'; readonly id: number }
  | { readonly kind: 'queues'; readonly queues: Readonly<Record<RequestClass, QueueCounts>> }
