import type { TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'
import type { Identity } from '../../domain/access/authenticate.js'
import type { SmartHttpOptions } from './refusal-response.js'
import { flowInto } from './push-body.js'
import type { Push } from './push-exchange.js'
import { endPush } from './push-exchange.js'

// What is taken at once while a push of unknown length streams; what is left of it is given back.
const STEP = 1_048_576

type Access = SmartHttpOptions['access']

/** What was taken from a budget for a push that is not handed over yet. */
export type Taken = {
  /** The push, which ends by itself where the budget does. */
  readonly push: () => Push
  /** For when it is not handed over. */
  readonly giveBack: () => Promise<void>
}

/**
 * Takes a push from its token's budget: all of it at once where its length is known, else part by part as it comes.
 *
 * @returns what was taken, or why there is not enough
 */
export async function takeFromBudget(push: Push): Promise<Taken | string> {
  const { authorized: authorized, head, pack, git } = push
  const { identity, context: context, options } = authorized
  if (!options.access.isCounted(identity)) return { push: () => push, giveBack: () => Promise.resolve() }
  const length = git.contentEncoding === undefined ? git.contentLength : undefined
  const bytes = length ?? head.bytes.length
  const reason = await options.access.spend(identity, { pushes: 1, bytes })
  if (reason !== undefined) return reason
  const metered = (): Push => {
    const meter = new BudgetMeter(options.access, identity, (reason) => {
      context.record.decision = 'refused'
      context.record.rule = reason
      if (!endPush(push, reason)) context.reset()
    })
    return { ...push, pack: flowInto(pack, meter) }
  }
  return {
    push: length === undefined ? metered : () => push,
    giveBack: async () => {
      await options.access.spend(identity, { pushes: -1, bytes: -bytes })
    },
  }
}

/**
 * Passes a push on and takes each part of it from its token's budget before it goes on. Where the budget ends, nothing more
 * passes.
 */
class BudgetMeter extends Transform {
  readonly #access: Access
  readonly #identity: Identity
  readonly #onExhausted: (reason: string) => void
  #granted = 0

  /** @param onExhausted is told why the rest does not pass */
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

  /** Takes from what was granted before; where that does not do, more from the budget. */
  async #take(length: number): Promise<string | undefined> {
    if (length > this.#granted) {
      const [more, least] = [Math.max(STEP, length), length - this.#granted]
      let granted = more
      let reason = await this.#access.spend(this.#identity, { pushes: 0, bytes: more })
      if (reason !== undefined) {
        granted = least
        reason = await this.#access.spend(this.#identity, { pushes: 0, bytes: least })
      }
      if (reason !== undefined) return reason
      // Destroyed meanwhile: what was left before is given back already, and this is not.
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
