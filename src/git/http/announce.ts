import { Writable } from 'node:stream'
import type { ResponseHead, QueueCounts } from '../../protocol/backend.js'
import { PktLineReader } from '../../protocol/pkt-line.js'
import type { SideBand } from '../../protocol/side-band.js'
import { BAND, encodeBand, encodeProgress } from '../../protocol/side-band.js'
import type { GitResponse } from './git-response.js'

/** How an answer begins, as far as that is known before there is one. */
export type AnswerStart = {
  /** The packet that stands first. @default none: the answer is multiplexed from its first byte */
  readonly firstPacket?: Buffer
  readonly sideBand: SideBand
  /** Whether words for people are wanted; otherwise a sign of life goes out in their place. */
  readonly wantsProgress: boolean
}

const NOTHING = Buffer.alloc(0)
// What git itself sends while it has nothing to say (Git: upload-pack.c, keepalive).
const SIGN_OF_LIFE = Buffer.from('0005\u0001', 'latin1')

/**
 * Tells the client while it waits for a slot. For that the answer is begun before the server has answered, with the packet that
 * must stand first; when the server answers, that packet is taken out of its answer.
 */
export function announcing<T extends GitResponse>(served: T, start: AnswerStart): T {
  const { firstPacket = NOTHING, sideBand, wantsProgress } = start
  let announced: Writable | undefined
  let isBegun = false
  const onQueued = (queue: QueueCounts): void => {
    served.writer.onQueued(queue)
    // The second run of a push waits for a slot after the answer of the first.
    if (isBegun) return
    if (announced === undefined) {
      announced = served.writer.begin()
      if (firstPacket.length > 0) announced.write(firstPacket)
    }
    announced.write(wantsProgress ? encodeProgress(describe(queue), sideBand) : SIGN_OF_LIFE)
  }
  const begin = (head?: ResponseHead): Writable => {
    isBegun = true
    return announced === undefined ? served.writer.begin(head) : new Remainder(announced, start)
  }
  return { ...served, writer: { ...served.writer, begin, onQueued } }
}

function describe({ running, waiting }: QueueCounts): string {
  const requests = (count: number): string => (count === 1 ? '1 request' : `${count} requests`)
  return `Waiting for a slot: ${requests(running)} running, ${waiting} waiting.`
}

/** An answer without the packet that was sent before it; one that begins otherwise becomes the words of a fatal end. */
class Remainder extends Writable {
  readonly #client: Writable
  readonly #first: Buffer
  readonly #sideBand: SideBand
  #phase: 'start' | 'rest' | 'dropped' = 'start'
  readonly #reader = new PktLineReader()

  constructor(client: Writable, { firstPacket = NOTHING, sideBand }: AnswerStart) {
    super()
    this.#client = client
    this.#first = firstPacket
    this.#sideBand = sideBand
    if (firstPacket.length === 0) this.#phase = 'rest'
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const sent = this.#pass(piece)
    if (sent.length === 0) done()
    else this.#client.write(sent, () => done())
  }

  #pass(piece: Buffer): Buffer {
    if (this.#phase === 'rest') return piece
    if (this.#phase === 'dropped') return NOTHING
    // What is not a whole packet yet is kept, and the piece is its writer's again.
    this.#reader.add(Buffer.from(piece))
    const packet = this.#reader.next()
    if (packet === 'more') return NOTHING
    if (packet !== 'malformed' && packet.bytes.equals(this.#first)) {
      this.#phase = 'rest'
      return this.#reader.rest
    }
    this.#phase = 'dropped'
    const said = packet === 'malformed' ? '' : packet.data.toString('latin1')
    const text = said.startsWith('ERR ') ? said.slice('ERR '.length).trimEnd() : 'the Git server has answered otherwise'
    return encodeBand(BAND.fatal, Buffer.from(`${text}\n`, 'latin1'), this.#sideBand)
  }
}
