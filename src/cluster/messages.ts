import type { QueueCounts } from '../protocol/backend.js'

/** Requests that have a limit and a queue of their own. */
export type RequestClass = 'refs' | 'packs' | 'pushes'

/** How failures to sign in are counted. */
export type CountRules = { readonly points: number; readonly duration: number }

/** How often an address has failed, until when that counts. */
export type Count = {
  readonly rules: CountRules
  readonly key: string
  readonly points: number
  readonly until: number
}

/** Which worker one is, of how many. */
export type WorkerInfo = {
  readonly index: number
  readonly count: number
  /** The folder of the workers' sockets. */
  readonly folder: string
  /** The gate's name in `Via`, the same in all workers. */
  readonly pseudonym: string
}

/** What a worker tells: that it listens, or can't; and what it asks, to which there is an answer under the same number. */
export type FromWorker =
  | { readonly kind: 'listening'; readonly url: string; readonly about: unknown }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'left'; readonly id: number }
  | { readonly kind: 'ended'; readonly id: number }
  /** Without `points` all of them. */
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

/** What a worker is told. */
export type ToWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'counted'; readonly count: Count }
  | { readonly kind: 'measure'; readonly id: number }
  | { readonly kind: 'queues'; readonly queues: Readonly<Record<RequestClass, QueueCounts>> }
