import type { TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'
import type { Identity } from '../../domain/access/authenticate.js'
import type { GitHttpDependencies } from './authorized-request.js'
import type { Push } from './push-body.js'
import { flowThrough } from './push-body.js'

// What is taken at once while a push of unknown length streams. What is left of it is given back.
const STEP_BYTES = 1_048_576

type Access = GitHttpDependencies['access']

/** What was taken from a budget for a push that the backend has not got yet. */
export type SpentBudget = {
  /** The push, which ends by itself when the budget is exhausted. */
  readonly metered: () => Push
  /** For a push that the backend doesn't get. */
  readonly giveBack: () => Promise<void>
}

/**
 * Takes a push from its token's budget: all of it at once if its length is known, otherwise part by part as it comes.
 *
 * @returns what was taken, or why the budget is too small
 */
export async function takeFromBudget(push: Push): Promise<SpentBudget | string> {
  const { authorized, head, pack } = push
  const { identity, context, dependencies, request, response } = authorized
  const { access } = dependencies
  if (!access.isCounted(identity)) return { metered: () => push, giveBack: () => Promise.resolve() }
  const length = request.contentEncoding === undefined ? request.contentLength : undefined
  const bytes = length ?? head.bytes.length
  const reason = await access.spend(identity, { pushes: 1, bytes })
  if (reason !== undefined) return reason
  const metered = (): Push => {
    const meter = new BudgetMeter(access, identity, (reason) => {
      context.record.decision = 'refused'
      context.record.rule = reason
      if (!response.endWith(reason)) context.reset()
    })
    return { ...push, pack: flowThrough(pack, meter, response.signal) }
  }
  return {
    metered: length === undefined ? metered : () => push,
    giveBack: async () => {
      await access.spend(identity, { pushes: -1, bytes: -bytes })
    },
  }
}

/** Takes each part of a push from its token's budget before it passes. When the budget is exhausted, nothing more passes. */
class BudgetMeter extends Transform {
  readonly #access: Access
  readonly #identity: Identity
  readonly #onExhausted: (reason: string) => void
  #granted = 0

  /** @param onExhausted called with the reason why the rest does not pass */
  constructor(access: Access, identity: Identity, onExhausted: (reason: string) => void) {
    super()
    this.#access = access
    this.#identity = identity
    this.#onExhausted = onExhausted
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#take(piece.length).then(
      (reason) => {
        if (reason === undefined) {
          done(null, piece)
          return
        }
        this.#onExhausted(reason)
        this.destroy()
      },
      (error: unknown) => done(error as Error),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const left = this.#granted
    this.#granted = 0
    const giveBack =
      left === 0 ? Promise.resolve(undefined) : this.#access.spend(this.#identity, { pushes: 0, bytes: -left })
    giveBack.then(
      () => done(error),
      () => done(error),
    )
  }

  /** Takes from what was granted before; if that is not enough, more from the budget. */
  async #take(length: number): Promise<string | undefined> {
    if (length > this.#granted) {
      const [more, least] = [Math.max(STEP_BYTES, length), length - this.#granted]
      let granted = more
      let reason = await this.#access.spend(this.#identity, { pushes: 0, bytes: more })
      if (reason !== undefined) {
        granted = least
        reason = await this.#access.spend(this.#identity, { pushes: 0, bytes: least })
      }
      if (reason !== undefined) return reason
      // It was destroyed in the meantime: what was left before has been given back, and this has not.
      if (this.destroyed) {
        await this.#access.spend(this.#identity, { pushes: 0, bytes: -granted })
        return undefined
      }
      this.#granted += granted
    }
    this.#granted -= length
    return undefined
  }
}
