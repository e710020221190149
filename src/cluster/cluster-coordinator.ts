import type { Limiters } from '../git/admission/limited-backend.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { SharedCounts } from './failure-counts.js'
import type { FromWorker, WorkerInfo, ToWorker } from './messages.js'

/** A worker, as the primary sees it. */
export type Member = { readonly info: WorkerInfo; readonly send: (message: ToWorker) => void }

const METRICS_TIMEOUT_MS = 2_000
// A waiting request first learns after a second how many wait.
const QUEUE_REPORT_INTERVAL_MS = 500

/** The primary's side of what workers share. */
export class ClusterCoordinator {
  readonly #limiters: Limiters
  readonly #aggregate: (metrics: readonly unknown[]) => Promise<string>
  readonly #members = new Map<Member, Map<number, () => void>>()
  readonly #measuring = new Map<number, (metrics: unknown) => void>()
  readonly #counts = new SharedCounts((count) => this.#sendAll({ kind: 'counted', count }))
  #id = 0
  #reporting: NodeJS.Timeout | undefined

  /**
   * @param limiters for all workers together
   * @param aggregate makes one text of the metrics of the workers that answered
   */
  constructor(limiters: Limiters, aggregate: (metrics: readonly unknown[]) => Promise<string>) {
    this.#limiters = limiters
    this.#aggregate = aggregate
  }

  /** Adds a worker. */
  add(member: Member): void {
    this.#members.set(member, new Map())
  }

  /** Removes a worker that has exited, and frees its slots for others. */
  remove(member: Member): void {
    const slots = this.#members.get(member)
    this.#members.delete(member)
    for (const end of slots?.values() ?? []) end()
  }

  /** Handles a message of a worker. */
  onMessage(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'join':
        for (const count of this.#counts.all) member.send({ kind: 'counted', count })
        member.send({ kind: 'answer', id: message.id, answer: member.info })
        break
      case 'enter':
        void this.#enter(member, message)
        break
      case 'left':
      case 'ended':
        this.#members.get(member)?.get(message.id)?.()
        break
      case 'count':
        void this.#counts
          .add(message.rules, message.key, message.block)
          .then((answer) => member.send({ kind: 'answer', id: message.id, answer }))
        break
      case 'uncount':
        void this.#counts.clear(message.rules, message.key, message.points)
        break
      case 'metrics':
        void this.#gatherMetrics().then((answer) => member.send({ kind: 'answer', id: message.id, answer }))
        break
      case 'measured':
        this.#measuring.get(message.id)?.(message.metrics)
        break
      case 'listening':
      case 'failed':
      case 'heartbeat':
        break
    }
  }

  /** Has all workers read certificates, keys and credentials again. */
  reload(): void {
    this.#sendAll({ kind: 'reload' })
  }

  async #enter(member: Member, message: FromWorker & { readonly kind: 'enter' }): Promise<void> {
    const { id, requestClass, repository, account } = message
    const slots = this.#members.get(member)
    const leaving = new AbortController()
    slots?.set(id, () => leaving.abort())
    // The worker has parsed it.
    const entering = this.#limiters[requestClass].acquire(repository as RepositoryPath, account, leaving.signal)
    if (this.#limiters[requestClass].counts.waiting > 0) this.#reportQueues()
    const slot = await entering
    slots?.delete(id)
    if (slot.kind === 'slot') {
      // The client may have left, or the worker exited, when the slot came.
      if (leaving.signal.aborted || !this.#members.has(member)) slot.release()
      else
        slots?.set(id, () => {
          slots.delete(id)
          slot.release()
        })
    }
    member.send({ kind: 'answer', id, answer: leaving.signal.aborted ? 'left' : slot.kind })
  }

  /** Sends queue lengths to the workers while any request waits. */
  #reportQueues(): void {
    this.#reporting ??= setInterval(() => {
      const { refs, packs, pushes } = this.#limiters
      this.#sendAll({ kind: 'queues', queues: { refs: refs.counts, packs: packs.counts, pushes: pushes.counts } })
      if (refs.counts.waiting + packs.counts.waiting + pushes.counts.waiting > 0) return
      clearInterval(this.#reporting)
      this.#reporting = undefined
    }, QUEUE_REPORT_INTERVAL_MS).unref()
  }

  /** Unlike prom-client's `clusterMetrics`, which fails when one worker hangs, this leaves out those that don't answer. */
  async #gatherMetrics(): Promise<string> {
    const answers = await Promise.all([...this.#members.keys()].map((member) => this.#measure(member)))
    return await this.#aggregate(answers.filter((answer) => answer !== undefined))
  }

  /** @returns `undefined` if the worker doesn't answer in time */
  async #measure(member: Member): Promise<unknown> {
    const id = (this.#id += 1)
    return await new Promise((resolve) => {
      const finish = (metrics?: unknown): void => {
        clearTimeout(timer)
        this.#measuring.delete(id)
        resolve(metrics)
      }
      const timer = setTimeout(finish, METRICS_TIMEOUT_MS).unref()
      this.#measuring.set(id, finish)
      member.send({ kind: 'measure', id })
    })
  }

  #sendAll(message: ToWorker): void {
    for (const member of this.#members.keys()) member.send(message)
  }
}
