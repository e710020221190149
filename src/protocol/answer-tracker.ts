import { packetLength, PktLineReader } from './pkt-line.js'

/** What stands before the multiplexed packets of an answer; a push's report begins with them at once. */
export type AnswerLead = 'packfile-section' | 'acknowledgements' | 'none'

const NOTHING = Buffer.alloc(0)
const LENGTH_DIGITS = 4
const PACKFILE = 'packfile\n'

/**
 * Follows a multiplexed answer from packet to packet, so that packets of ours can stand between: a notice before its first,
 * and last words wherever it is broken off. Of the packets only the lengths are looked at.
 */
export class AnswerTracker {
  #phase: 'lead' | 'bands' | 'opaque' | 'ended'
  readonly #lead: AnswerLead
  readonly #leadReader = new PktLineReader()
  /** Bytes of the packet that are still to come. */
  #missing = 0
  /** The beginning of a length. */
  #digits: Buffer = NOTHING
  #notice: Buffer
  #lastWords: Buffer | undefined

  /** @param notice packets to stand before the first of the answer; empty: none */
  constructor(lead: AnswerLead, notice: Buffer) {
    this.#lead = lead
    this.#phase = lead === 'none' ? 'bands' : 'lead'
    this.#notice = notice
  }

  /** Whether the last words were said: what still comes is dropped. */
  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  /** Takes the next bytes of the answer. @returns what is to be sent, none of it empty and none of it copied but for a few bytes */
  push(piece: Buffer): readonly Buffer[] {
    return this.#pass(piece).filter(({ length }) => length > 0)
  }

  /**
   * Ends the answer where its current packet ends.
   *
   * @returns what is to be sent at once: the last words, where no packet is under way; `undefined` when the answer is not at
   *   its multiplexed part, where nothing can be said
   */
  endWith(lastWords: Buffer): readonly Buffer[] | undefined {
    if (this.#phase !== 'bands') return undefined
    this.#lastWords = lastWords
    return this.#missing > 0 ? [] : this.#end()
  }

  #pass(piece: Buffer): Buffer[] {
    switch (this.#phase) {
      case 'ended':
        return []
      case 'opaque':
        return [piece]
      case 'lead':
        return this.#passLead(piece)
      case 'bands':
        return this.#passBands(piece)
    }
  }

  #end(): Buffer[] {
    this.#phase = 'ended'
    return [...this.#takeNotice(), this.#lastWords ?? NOTHING]
  }

  #takeNotice(): Buffer[] {
    const notice = this.#notice
    this.#notice = NOTHING
    return notice.length === 0 ? [] : [notice]
  }

  #passLead(piece: Buffer): Buffer[] {
    // What is not a whole packet yet is kept, and the piece is its writer's again.
    this.#leadReader.add(Buffer.from(piece))
    const passed: Buffer[] = []
    for (;;) {
      const packet = this.#leadReader.next()
      if (packet === 'more') return passed
      if (packet === 'malformed') {
        this.#phase = 'opaque'
        return [...passed, this.#leadReader.rest]
      }
      const isSection = this.#lead === 'packfile-section' && packet.data.toString('latin1') === PACKFILE
      const isBand = this.#lead === 'acknowledgements' && packet.data.length > 0 && (packet.data[0] ?? 0) <= 3
      if (!isBand) passed.push(packet.bytes)
      if (!isBand && !isSection) continue
      this.#phase = 'bands'
      const rest = isBand ? Buffer.concat([packet.bytes, this.#leadReader.rest]) : this.#leadReader.rest
      return [...passed, ...this.#passBands(rest)]
    }
  }

  #passBands(piece: Buffer): Buffer[] {
    const sent: Buffer[] = []
    let held = this.#digits
    this.#digits = NOTHING
    let at = 0
    while (at < piece.length) {
      if (this.#missing === 0) {
        if (this.#lastWords !== undefined) return [...sent, piece.subarray(0, at), ...this.#end()]
        const wanted = LENGTH_DIGITS - held.length
        // Part of a length is kept: once it was sent, nothing of ours could stand before its packet.
        if (piece.length - at < wanted) {
          this.#digits = Buffer.concat([held, piece.subarray(at)])
          return this.#withNotice([...sent, piece.subarray(0, at)])
        }
        const length = packetLength(joined(held, piece.subarray(at, at + wanted)))
        if (length === undefined) {
          this.#phase = 'opaque'
          return [...this.#takeNotice(), ...sent, held, piece]
        }
        this.#missing = Math.max(length, LENGTH_DIGITS) - held.length
        sent.push(held)
        held = NOTHING
      }
      const step = Math.min(this.#missing, piece.length - at)
      this.#missing -= step
      at += step
    }
    const whole = this.#withNotice([...sent, piece])
    return this.#lastWords !== undefined && this.#missing === 0 ? [...whole, ...this.#end()] : whole
  }

  /** Puts the notice before the first bytes that are sent. */
  #withNotice(pieces: Buffer[]): Buffer[] {
    return pieces.every(({ length }) => length === 0) ? pieces : [...this.#takeNotice(), ...pieces]
  }
}

function joined(first: Buffer, second: Buffer): Buffer {
  return first.length === 0 ? second : Buffer.concat([first, second])
}
