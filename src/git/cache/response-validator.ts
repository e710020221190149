import { packetLength } from '../../protocol/pkt-line.js'
import type { AnswerShape, AnswerState } from './answer-grammar.js'
import { firstState, headBytes, nextState } from './answer-grammar.js'

/** What the bytes so far say of an answer. */
export type Wholeness =
  /** It has not come to its end. */
  | 'underway'
  /** It ends in its final flush. Whether the program that gave it ended well is another matter. */
  | 'whole'
  /** It is to be delivered but not kept: it tells of an error, goes on behind its end, or is built in an unknown way. */
  | 'unfit'

const LENGTH_DIGITS = 4
const LONGEST_HEAD = 32
const SPECIAL = ['flush', 'delimiter', 'response-end'] as const

/**
 * Follows the bytes of an answer as they pass, cut anywhere, and tells whether it ended whole. Nothing is kept of them but
 * the beginning of the packet at hand; of a pack only the lengths and the bands are looked at.
 */
export class WholenessTracker {
  #state: AnswerState
  /** The length and the first bytes of the packet at hand, and how many of them are there and are needed. */
  readonly #head = Buffer.alloc(LONGEST_HEAD)
  #held = 0
  #needed = LENGTH_DIGITS
  #length = 0
  /** Bytes of the packet that are still to pass. */
  #passing = 0

  constructor(shape: AnswerShape) {
    this.#state = firstState(shape)
  }

  get wholeness(): Wholeness {
    if (this.#state === 'unfit') return 'unfit'
    return this.#state === 'ended' ? 'whole' : 'underway'
  }

  /** Takes the next bytes. */
  push(piece: Buffer): void {
    let at = 0
    while (at < piece.length && this.#state !== 'unfit') {
      if (this.#state === 'ended') {
        this.#state = 'unfit'
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
        this.#state = 'unfit'
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
