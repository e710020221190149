import { FLUSH, packetLength, PktLineReader } from './pkt-line.js'
import type { PushHead } from './push-head.js'

/** What a packet of a multiplexed response carries: the response proper, messages for people, or a fatal error. */
export const BAND = { answer: 1, progress: 2, fatal: 3 } as const

/** How a response is multiplexed; a packet of the old `side-band` holds 1,000 bytes at most. */
export type SideBand = 'side-band-64k' | 'side-band'

const LENGTH_AND_BAND = 5
const MAX_DATA: Readonly<Record<SideBand, number>> = { 'side-band-64k': 65_515, 'side-band': 995 }

/** The multiplexing that capabilities ask for; `undefined`: none. */
export function sideBandOf(capabilities: ReadonlySet<string>): SideBand | undefined {
  return (['side-band-64k', 'side-band'] as const).find((name) => capabilities.has(name))
}

/** Bytes as packets of one band, as many as they need. */
export function encodeBand(band: number, data: Buffer, sideBand: SideBand): Buffer {
  const packets: Buffer[] = []
  for (let at = 0; at < data.length; at += MAX_DATA[sideBand]) {
    const part = data.subarray(at, at + MAX_DATA[sideBand])
    const head = Buffer.from(
      `${(part.length + LENGTH_AND_BAND).toString(16).padStart(4, '0')}${String.fromCharCode(band)}`,
    )
    packets.push(head, part)
  }
  return Buffer.concat(packets)
}

/** Lines that git shows as `remote: …`. */
export function encodeProgress(text: string, sideBand: SideBand): Buffer {
  return encodeBand(BAND.progress, Buffer.from(`${text}\n`), sideBand)
}

/** A whole answer in one band, and the flush that ends it. */
export function encodeAnswer(data: Buffer, sideBand: SideBand): Buffer {
  return Buffer.concat([encodeBand(BAND.answer, data, sideBand), FLUSH])
}

/** How a response is multiplexed, as its request tells. */
export type ResponseFormat = {
  /**
   * What stands before the multiplexed packets: in version 2 sections up to `packfile`, in versions 0 and 1
   * acknowledgements, before the report of a push nothing.
   */
  readonly preamble: 'packfile-section' | 'acknowledgements' | 'none'
  readonly sideBand: SideBand
  /** Whether messages are wanted: git asks for silence with `-q`, and when its output is no terminal. */
  readonly wantsProgress: boolean
  /**
   * The packet that the response begins with, if that is certain before the server responds: `packfile`, or `NAK`; empty for
   * a push. Unknown if the server first acknowledges what the client has, or says where the history is cut.
   */
  readonly firstPacket: Buffer | undefined
}

const LENGTH_DIGITS = 4
const NOTHING = Buffer.alloc(0)
const PACKFILE = 'packfile\n'
// What git itself sends while it has nothing to report (Git: upload-pack.c, keepalive).
const KEEPALIVE = Buffer.from('0005\u0001', 'latin1')

/**
 * Follows a multiplexed response from packet to packet, so that our messages can stand between: progress before the backend
 * responds, a message before the first packet, and a terminal error wherever the response is broken off. Of the packets only
 * the lengths are read.
 */
export class SideBandResponse {
  readonly #format: ResponseFormat
  #phase: 'preamble' | 'bands' | 'opaque' | 'dropped' | 'ended'
  /** Reads the packets that stand before the multiplexed ones, or the first packet when that was sent early. */
  readonly #reader = new PktLineReader()
  #message: Buffer
  /** The packet that was sent early, and is dropped when the backend sends it. */
  #sentEarly: Buffer | undefined
  /** Bytes of the packet that are still to come. */
  #missing = 0
  /** The beginning of a length. */
  #digits: Buffer = NOTHING
  #terminal: Buffer | undefined

  /** @param message text to stand before everything else that git shows; `undefined`: none */
  constructor(format: ResponseFormat, message: string | undefined) {
    this.#format = format
    this.#phase = format.preamble === 'none' ? 'bands' : 'preamble'
    this.#message = message === undefined ? NOTHING : encodeProgress(message, format.sideBand)
  }

  /** Whether the terminal error was sent: what still comes is dropped. */
  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  /**
   * Puts a message before the backend's response. For that the response begins early, with the packet that must stand first;
   * it is dropped when the backend sends it.
   *
   * @param firstPacket what the backend's response certainly begins with; empty: it is multiplexed from its first byte
   * @returns what is to be sent
   */
  progress(text: string, firstPacket: Buffer): readonly Buffer[] {
    const { sideBand, wantsProgress } = this.#format
    const first = this.#sentEarly === undefined ? firstPacket : NOTHING
    this.#sentEarly = firstPacket
    this.#phase = 'bands'
    const message = wantsProgress ? encodeProgress(text, sideBand) : KEEPALIVE
    return [first, ...this.#takeNotice(), message].filter(({ length }) => length > 0)
  }

  /** Takes the next bytes of the backend. @returns what is to be sent, none of it empty, and only a few bytes of it copied */
  push(piece: Buffer): readonly Buffer[] {
    return this.#pass(piece).filter(({ length }) => length > 0)
  }

  /**
   * Ends the response with an error message where its current packet ends.
   *
   * @returns what is to be sent at once: the message, unless a packet is under way; `undefined` when the response is not in
   *   its multiplexed part, where a message can't stand
   */
  endWith(text: string): readonly Buffer[] | undefined {
    if (this.#phase !== 'bands') return undefined
    this.#terminal = encodeBand(BAND.fatal, Buffer.from(`${text}\n`), this.#format.sideBand)
    return this.#missing > 0 ? [] : this.#end()
  }

  #pass(piece: Buffer): Buffer[] {
    switch (this.#phase) {
      case 'ended':
      case 'dropped':
        return []
      case 'opaque':
        return [piece]
      case 'preamble':
        return this.#passPreamble(piece)
      case 'bands':
        return this.#sentEarly === undefined || this.#sentEarly.length === 0
          ? this.#passBands(piece)
          : this.#dropFirst(piece, this.#sentEarly)
    }
  }

  #end(): Buffer[] {
    this.#phase = 'ended'
    return [...this.#takeNotice(), this.#terminal ?? NOTHING]
  }

  #takeNotice(): Buffer[] {
    const message = this.#message
    this.#message = NOTHING
    return message.length === 0 ? [] : [message]
  }

  /** Drops the packet that was sent early. A response that begins otherwise becomes an error message. */
  #dropFirst(piece: Buffer, sent: Buffer): Buffer[] {
    const packet = this.#nextPacket(piece)
    if (packet === 'more') return []
    if (packet !== 'malformed' && packet.bytes.equals(sent)) {
      this.#sentEarly = NOTHING
      return this.#passBands(this.#reader.rest)
    }
    this.#phase = 'dropped'
    const line = packet === 'malformed' ? '' : packet.data.toString('latin1')
    const text = line.startsWith('ERR ') ? line.slice('ERR '.length).trimEnd() : 'the Git server has answered otherwise'
    return [encodeBand(BAND.fatal, Buffer.from(`${text}\n`, 'latin1'), this.#format.sideBand)]
  }

  #nextPacket(piece: Buffer) {
    // What is not a whole packet yet is kept, and its writer may reuse the piece.
    this.#reader.add(Buffer.from(piece))
    return this.#reader.next()
  }

  #passPreamble(piece: Buffer): Buffer[] {
    const { preamble } = this.#format
    const passed: Buffer[] = []
    for (let packet = this.#nextPacket(piece); ; packet = this.#reader.next()) {
      if (packet === 'more') return passed
      if (packet === 'malformed') {
        this.#phase = 'opaque'
        return [...passed, this.#reader.rest]
      }
      const isSection = preamble === 'packfile-section' && packet.data.toString('latin1') === PACKFILE
      const isBand = preamble === 'acknowledgements' && packet.data.length > 0 && (packet.data[0] ?? 0) <= BAND.fatal
      if (!isBand) passed.push(packet.bytes)
      if (!isBand && !isSection) continue
      this.#phase = 'bands'
      const rest = isBand ? Buffer.concat([packet.bytes, this.#reader.rest]) : this.#reader.rest
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
        if (this.#terminal !== undefined) return [...sent, piece.subarray(0, at), ...this.#end()]
        const wanted = LENGTH_DIGITS - held.length
        // Part of a length is kept: once it was sent, no message could stand before its packet.
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
    const passed = this.#withNotice([...sent, piece])
    return this.#terminal !== undefined && this.#missing === 0 ? [...passed, ...this.#end()] : passed
  }

  /** Puts the message before the first bytes that are sent. */
  #withNotice(pieces: Buffer[]): Buffer[] {
    return pieces.every(({ length }) => length === 0) ? pieces : [...this.#takeNotice(), ...pieces]
  }
}

function joined(first: Buffer, second: Buffer): Buffer {
  return first.length === 0 ? second : Buffer.concat([first, second])
}

const FIRST_PACKETS = {
  'packfile-section': Buffer.from('000dpackfile\n'),
  acknowledgements: Buffer.from('0008NAK\n'),
} as const
// With any other argument the response may begin otherwise.
const ASKS_AT_ONCE = /^(want [0-9a-f]+|filter .*|thin-pack|no-progress|include-tag|ofs-delta|done)$/

/**
 * Tells how upload-pack responds to a request (Git's documentation: gitprotocol-v2, fetch; gitprotocol-pack).
 *
 * @param bytes the request's beginning, decoded; the first kilobytes are enough, since the arguments stand before the wants
 * @returns `undefined` if the response is not multiplexed, or not in a known way
 */
export function fetchResponseFormat(bytes: Buffer): ResponseFormat | undefined {
  const reader = new PktLineReader()
  reader.add(bytes)
  const first = reader.next()
  if (typeof first === 'string') return undefined
  const line = first.data.toString('latin1').trimEnd()
  if (line.startsWith('want ')) {
    const words = new Set(line.split(' ').slice(2))
    const sideBand = sideBandOf(words)
    if (sideBand === undefined) return undefined
    const isCertain = asksForAllAtOnce(reader)
    return formatOf('acknowledgements', sideBand, !words.has('no-progress'), isCertain)
  }
  if (line !== 'command=fetch') return undefined
  const lines: string[] = []
  let packet = reader.next()
  for (; typeof packet !== 'string' && packet.kind !== 'flush'; packet = reader.next()) {
    // What stands before the arguments doesn't change the response.
    if (packet.kind === 'delimiter') lines.length = 0
    else lines.push(packet.data.toString('latin1').trimEnd())
  }
  const args = new Set(lines)
  // Such a response is multiplexed from its first byte, in a way that git itself does not show.
  if (args.has('sideband-all')) return undefined
  const isCertain =
    typeof packet !== 'string' &&
    args.has('done') &&
    lines.some((line) => line.startsWith('want ')) &&
    lines.every((line) => ASKS_AT_ONCE.test(line))
  return formatOf('packfile-section', 'side-band-64k', !args.has('no-progress'), isCertain)
}

/** How receive-pack responds to a push; `undefined` if the report is not multiplexed. */
export function pushResponseFormat({ capabilities }: Pick<PushHead, 'capabilities'>): ResponseFormat | undefined {
  // Git's receive-pack knows only the wide side band.
  if (!capabilities.has('side-band-64k')) return undefined
  const wantsProgress = !capabilities.has('quiet')
  return { preamble: 'none', sideBand: 'side-band-64k', wantsProgress, firstPacket: Buffer.alloc(0) }
}

function formatOf(
  preamble: keyof typeof FIRST_PACKETS,
  sideBand: SideBand,
  wantsProgress: boolean,
  isCertain: boolean,
): ResponseFormat {
  return { preamble, sideBand, wantsProgress, firstPacket: isCertain ? FIRST_PACKETS[preamble] : undefined }
}

/** Whether nothing but `want` lines, a flush and `done` follow: a clone (Git's documentation: gitprotocol-pack). */
function asksForAllAtOnce(reader: PktLineReader): boolean {
  for (;;) {
    const packet = reader.next()
    if (typeof packet === 'string') return false
    if (packet.kind === 'flush') break
    if (!packet.data.toString('latin1').startsWith('want ')) return false
  }
  const last = reader.next()
  return typeof last !== 'string' && last.data.toString('latin1').trimEnd() === 'done'
}

/** Whether a request's body asks for refs (protocol v2, ls-refs) rather than for objects. @param start its first bytes */
export function asksForRefs(start: Buffer): boolean {
  return /^[0-9a-f]{4}command=ls-refs\n?/i.test(start.toString('latin1', 0, 32))
}
