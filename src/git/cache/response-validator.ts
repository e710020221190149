import { packetLength } from '../../protocol/pkt-line.js'
import type { AnswerShape, AnswerState } from './answer-grammar.js'
import { firstState, headBytes, nextState } from './answer-grammar.js'

export type Completeness =
  /** Its end hasn't come yet. */
  | 'incomplete'
  /** It ends with its final flush. Whether git exited with status 0 must be checked too. */
  | 'complete'
  /** It is sent to the client but not kept: it reports an error, goes on after its end, or has an unknown format. */
  | 'uncacheable'

const LENGTH_DIGITS = 4
const LONGEST_HEAD = 32
const SPECIAL = ['flush', 'delimiter', 'response-end'] as const

/**
 * Checks whether a response is complete, from its bytes as they pass, in pieces of any length. It holds nothing but the start of the
 * current packet; of a pack it reads only the lengths and bands.
 */
export class ResponseValidator {
  #state: AnswerState
  /** The length and the first bytes of the current packet, and how many of them are there and are needed. */
  readonly #head = Buffer.alloc(LONGEST_HEAD)
  #held = 0
  #needed = LENGTH_DIGITS
  #length = 0
  /** Bytes of the packet that have yet to pass. */
  #passing = 0

  constructor(shape: AnswerShape) {
    this.#state = firstState(shape)
  }

  get completeness(): Completeness {
    if (this.#state === 'uncacheable') return 'uncacheable'
    return this.#state === 'ended' ? 'complete' : 'incomplete'
  }

  /** Takes the next bytes. */
  push(piece: Buffer): void {
    let at = 0
    while (at < piece.length && this.#state !== 'uncacheable') {
      if (this.#state === 'ended') {
        this.#state = 'uncacheable'
      } else if (this.#passing > 0) {
        const step = Math.min(this.#passing, piece.length - at)
        this.#passing -= step
        at += step
      } else {
        const step = piece.copy(this.#head, this.#held, at, at + this.#needed - this.#held)
        this.#held += step
        at += step
        if (this.#held === this.#needed) this.#look()
      }
    }
  }

  /** Looks at what is held: a length, or the head of a packet. */
  #look(): void {
    if (this.#needed === LENGTH_DIGITS) {
      const length = packetLength(this.#head)
      if (length === undefined) {
        this.#state = 'uncacheable'
        return
      }
      this.#length = length
      this.#needed = LENGTH_DIGITS + Math.min(Math.max(length - LENGTH_DIGITS, 0), headBytes(this.#state))
      if (this.#needed > LENGTH_DIGITS) return
    }
    const start = this.#head.toString('latin1', LENGTH_DIGITS, this.#needed)
    this.#state = nextState(this.#state, { kind: SPECIAL[this.#length] ?? 'data', start })
    this.#passing = Math.max(this.#length - this.#needed, 0)
    this.#held = 0
    this.#needed = LENGTH_DIGITS
  }
}
