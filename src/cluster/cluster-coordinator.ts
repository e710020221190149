import type { Limiters } from '../git/admission/limited-backend.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { CommonCounts } from './counts.js'
import type { FromWorker, WorkerInfo, ToWorker } from './messages.js'

/** A worker, as the primary sees it. */
export type Member = { readonly info: WorkerInfo; readonly send: (message: ToWorker) => void }

const METRICS_TIMEOUT_MS = 2_000
// A waiting request first learns after a second how many wait.
const QUEUE_REPORT_INTERVAL_MS = 500

/** The primary's side of what workers share. */
export class ClusterCoordinator {
  readonly #limiters: Limiters
  readonly #join: (metrics: readonly unknown[]) => Promise<string>
  readonly #members = new Map<Member, Map<number, () => void>>()
  readonly #measuring = new Map<number, (metrics: unknown) => void>()
  readonly #counts = new CommonCounts((count) => this.#sendAll({ kind: 'counted', count }))
  #id = 0
  #reporting: NodeJS.Timeout | undefined

  /**
   * @param limiters for all workers together
   * @param join makes one text of what workers have measured
   */
  constructor(limiters: Limiters, join: (metrics: readonly unknown[]) => Promise<string>) {
    this.#limiters = limiters
    this.#join = join
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
        void this.#measure().then((answer) => member.send({ kind: 'answer', id: message.id, answer }))
        break
      case 'measured':
        this.#measuring.get(message.id)?.(message.metrics)
        break
      case 'listening':
      case 'failed':
        break
    }
  }

  async #enter(member: Member, message: FromWorker & { readonly kind: 'enter' }): Promise<void> {
    const { id, requestClass, repository, account } = message
    const slots = this.#members.get(member)
    const leaving = new AbortController()
    slots?.set(id, () => leaving.abort())
    // It was parsed by the worker.
    const entering = this.#limiters[requestClass].acquire(repository as RepositoryPath, account, leaving.signal)
    if (this.#limiters[requestClass].counts.waiting > 0) this.#reportQueues()
    const slot = await entering
    slots?.delete(id)
    if (slot.kind === 'slot') {
      // It may have left, or died, at the moment it got the slot.
      if (leaving.signal.aborted || !this.#members.has(member)) slot.release()
      else
        slots?.set(id, () => {
          slots.delete(id)
          slot.release()
        })
    }
    member.send({ kind: 'answer', id, answer: leaving.signal.aborted ? 'left' : slot.kind })
  }

  /** As long as anybody waits. */
  #reportQueues(): void {
    this.#reporting ??= setInterval(() => {
      const { refs, packs, pushes } = this.#limiters
      this.#sendAll({ kind: 'queues', queues: { refs: refs.counts, packs: packs.counts, pushes: pushes.counts } })
      if (refs.counts.waiting + packs.counts.waiting + pushes.counts.waiting > 0) return
      clearInterval(this.#reporting)
      this.#reporting = undefined
    }, QUEUE_REPORT_INTERVAL_MS).unref()
  }

  async #measure(): Promise<string> {
    const answers = await Promise.all(
      [...this.#members.keys()].map(async (member) => {
        const id = (this.#id += 1)
        const answer = await new Promise<unknown>((resolve) => {
          this.#measuring.set(id, resolve)
          setTimeout(resolve, METRICS_TIMEOUT_MS, undefined).unref()
          member.send({ kind: 'measure', id })
        })
        this.#measuring.delete(id)
        return answer
      }),
    )
    return await this.#join(answers.filter((answer) => answer !== undefined))
  }

  #sendAll(message: ToWorker): void {
    for (const member of this.#members.keys()) member.send(message)
  }
}
