import type { Lanes } from '../git/admission/limited-backend.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import { CommonCounts } from './counts.js'
import type { FromWorker, Place, ToWorker } from './messages.js'

/** A worker, as the first process speaks to it. */
export type Member = { readonly place: Place; readonly tell: (message: ToWorker) => void }

const MEASURED_WITHIN = 2_000
// Who waits is told how many do, at first after a second.
const TELL_EVERY = 500

/** The first process's side of what workers share. */
export class Crew {
  readonly #lanes: Lanes
  readonly #join: (metrics: readonly unknown[]) => Promise<string>
  readonly #members = new Map<Member, Map<number, () => void>>()
  readonly #measuring = new Map<number, (metrics: unknown) => void>()
  readonly #counts = new CommonCounts((count) => this.#tellAll({ kind: 'counted', count }))
  #id = 0
  #telling: NodeJS.Timeout | undefined

  /**
   * @param lanes the turns, for all workers together
   * @param join makes one text of what workers have measured
   */
  constructor(lanes: Lanes, join: (metrics: readonly unknown[]) => Promise<string>) {
    this.#lanes = lanes
    this.#join = join
  }

  /** Takes a worker in. */
  add(member: Member): void {
    this.#members.set(member, new Map())
  }

  /** A worker has ended: what it had, others may have. */
  remove(member: Member): void {
    const turns = this.#members.get(member)
    this.#members.delete(member)
    for (const end of turns?.values() ?? []) end()
  }

  /** What a worker says. */
  hear(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'join':
        for (const count of this.#counts.all) member.tell({ kind: 'counted', count })
        member.tell({ kind: 'answer', id: message.id, answer: member.place })
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
          .then((answer) => member.tell({ kind: 'answer', id: message.id, answer }))
        break
      case 'uncount':
        void this.#counts.clear(message.rules, message.key, message.points)
        break
      case 'metrics':
        void this.#measure().then((answer) => member.tell({ kind: 'answer', id: message.id, answer }))
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
    const { id, lane, repository, account } = message
    const turns = this.#members.get(member)
    const leaving = new AbortController()
    turns?.set(id, () => leaving.abort())
    // It was parsed by the worker.
    const entering = this.#lanes[lane].enter(repository as RepositoryPath, account, leaving.signal)
    if (this.#lanes[lane].counts.waiting > 0) this.#tellQueues()
    const turn = await entering
    turns?.delete(id)
    if (turn.kind === 'turn') {
      // It may have left, or died, in the moment in which its turn came.
      if (leaving.signal.aborted || !this.#members.has(member)) turn.end()
      else
        turns?.set(id, () => {
          turns.delete(id)
          turn.end()
        })
    }
    member.tell({ kind: 'answer', id, answer: leaving.signal.aborted ? 'left' : turn.kind })
  }

  /** As long as anybody waits. */
  #tellQueues(): void {
    this.#telling ??= setInterval(() => {
      const { refs, packs, pushes } = this.#lanes
      this.#tellAll({ kind: 'queues', queues: { refs: refs.counts, packs: packs.counts, pushes: pushes.counts } })
      if (refs.counts.waiting + packs.counts.waiting + pushes.counts.waiting > 0) return
      clearInterval(this.#telling)
      this.#telling = undefined
    }, TELL_EVERY).unref()
  }

  async #measure(): Promise<string> {
    const answers = await Promise.all(
      [...this.#members.keys()].map(async (member) => {
        const id = (this.#id += 1)
        const answer = await new Promise<unknown>((resolve) => {
          this.#measuring.set(id, resolve)
          setTimeout(resolve, MEASURED_WITHIN, undefined).unref()
          member.tell({ kind: 'measure', id })
        })
        this.#measuring.delete(id)
        return answer
      }),
    )
    return await this.#join(answers.filter((answer) => answer !== undefined))
  }

  #tellAll(message: ToWorker): void {
    for (const member of this.#members.keys()) member.tell(message)
  }
}
