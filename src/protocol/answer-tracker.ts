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

  /** Takes the next bytes of the answer. @returns what is to be sent */
  push(piece: Buffer): Buffer {
    switch (this.#phase) {
      case 'ended':
        return NOTHING
      case 'opaque':
        return piece
      case 'lead':
        return this.#passLead(piece)
      case 'bands':
        return this.#passBands(piece)
    }
  }

  /**
   * Ends the answer where its current packet ends.
   *
   * @returns what is to be sent at once: the last words, where no packet is under way; `undefined` when the answer is not at
   *   its multiplexed part, where nothing can be said
   */
  endWith(lastWords: Buffer): Buffer | undefined {
    if (this.#phase !== 'bands') return undefined
    this.#lastWords = lastWords
    return this.#missing > 0 ? NOTHING : this.#end()
  }

  #end(): Buffer {
    this.#phase = 'ended'
    return Buffer.concat([this.#takeNotice(), this.#lastWords ?? NOTHING])
  }

  #takeNotice(): Buffer {
    const notice = this.#notice
    this.#notice = NOTHING
    return notice
  }

  #passLead(piece: Buffer): Buffer {
    this.#leadReader.add(piece)
    const passed: Buffer[] = []
    for (;;) {
      const packet = this.#leadReader.next()
      if (packet === 'more') return Buffer.concat(passed)
      if (packet === 'malformed') {
        this.#phase = 'opaque'
        return Buffer.concat([...passed, this.#leadReader.rest])
      }
      const isSection = this.#lead === 'packfile-section' && packet.data.toString('latin1') === PACKFILE
      const isBand = this.#lead === 'acknowledgements' && packet.data.length > 0 && (packet.data[0] ?? 0) <= 3
      if (!isBand) passed.push(packet.bytes)
      if (!isBand && !isSection) continue
      this.#phase = 'bands'
      const rest = isBand ? Buffer.concat([packet.bytes, this.#leadReader.rest]) : this.#leadReader.rest
      return Buffer.concat([...passed, this.#passBands(rest)])
    }
  }

  #passBands(piece: Buffer): Buffer {
    const bytes = this.#digits.length === 0 ? piece : Buffer.concat([this.#digits, piece])
    this.#digits = NOTHING
    let at = 0
    while (at < bytes.length) {
      if (this.#missing === 0) {
        if (this.#lastWords !== undefined) return Buffer.concat([bytes.subarray(0, at), this.#end()])
        // Part of a length is kept: once it was sent, nothing of ours could stand before its packet.
        if (bytes.length - at < LENGTH_DIGITS) {
          this.#digits = bytes.subarray(at)
          break
        }
        const length = packetLength(bytes.subarray(at, at + LENGTH_DIGITS))
        if (length === undefined) {
          this.#phase = 'opaque'
          return Buffer.concat([this.#takeNotice(), bytes])
        }
        this.#missing = Math.max(length, LENGTH_DIGITS)
      }
      const step = Math.min(this.#missing, bytes.length - at)
      this.#missing -= step
      at += step
    }
    const sent = bytes.subarray(0, at)
    if (this.#lastWords !== undefined && this.#missing === 0) return Buffer.concat([sent, this.#end()])
    return this.#notice.length === 0 ? sent : Buffer.concat([this.#takeNotice(), sent])
  }
}
