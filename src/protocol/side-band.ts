import { FLUSH, LENGTH_DIGITS, packetLength, PktLineReader } from './pkt-line.js'
import type { PushHead } from './push-head.js'

/** What a packet of a multiplexed response carries: the response itself, messages for the user, or a fatal error. */
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

/** A complete response in band 1, with the flush that ends it. */
export function encodeAnswer(data: Buffer, sideBand: SideBand): Buffer {
  return Buffer.concat([encodeBand(BAND.answer, data, sideBand), FLUSH])
}

/** How a response is multiplexed, according to its request. */
export type ResponseFormat = {
  /**
   * What comes before the multiplexed packets: in version 2 the sections up to `packfile`, in versions 0 and 1
   * acknowledgements, before the report of a push nothing.
   */
  readonly preamble: 'packfile-section' | 'acknowledgements' | 'none'
  readonly sideBand: SideBand
  /** Whether the client wants messages. With `-q`, or without a terminal, git doesn't. */
  readonly wantsProgress: boolean
  /**
   * The first packet of the response, if that is certain before the server responds: `packfile`, or `NAK`; empty for a push.
   * `undefined` if the server may first acknowledge what the client has, or list shallow commits.
   */
  readonly firstPacket: Buffer | undefined
}

const NOTHING = Buffer.alloc(0)
const PACKFILE = 'packfile\n'
// What git itself sends while it has nothing to report (Git: upload-pack.c, keepalive).
const KEEPALIVE = Buffer.from('0005\u0001', 'latin1')

/**
 * Puts our messages between the packets of a multiplexed response: progress before the backend responds, a message before the
 * first packet, and a terminal error where the response is broken off. Of the packets it reads only the lengths.
 */
export class SideBandResponse {
  readonly #format: ResponseFormat
  #phase: 'preamble' | 'bands' | 'opaque' | 'dropped' | 'ended'
  /** Reads the packets before the multiplexed ones, or the first packet if that was sent early. */
  readonly #reader = new PktLineReader()
  #message: Buffer
  /** The packet that was sent early: the backend's copy of it is dropped. */
  #sentEarly: Buffer | undefined
  /** Bytes of the current packet that haven't come yet. */
  #missing = 0
  /** The beginning of a length that hasn't come completely. */
  #digits: Buffer = NOTHING
  #terminal: Buffer | undefined

  /** @param message shown before everything else; `undefined`: none */
  constructor(format: ResponseFormat, message: string | undefined) {
    this.#format = format
    this.#phase = format.preamble === 'none' ? 'bands' : 'preamble'
    this.#message = message === undefined ? NOTHING : encodeProgress(message, format.sideBand)
  }

  /** Whether the terminal error was sent. Further bytes are dropped. */
  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  /**
   * Sends a message before the backend responds. The response then begins early, with the packet that must come first; the
   * backend's copy of that packet is dropped.
   *
   * @param firstPacket the first packet of the backend's response; empty: the response is multiplexed from its first byte
   * @returns the bytes to send
   */
  progress(text: string, firstPacket: Buffer): readonly Buffer[] {
    const { sideBand, wantsProgress } = this.#format
    const first = this.#sentEarly === undefined ? firstPacket : NOTHING
    this.#sentEarly = firstPacket
    this.#phase = 'bands'
    const message = wantsProgress ? encodeProgress(text, sideBand) : KEEPALIVE
    return [first, ...this.#takeMessage(), message].filter(({ length }) => length > 0)
  }

  /** Takes the backend's next bytes. @returns the pieces to send, none of them empty; only a few bytes are copied */
  push(piece: Buffer): readonly Buffer[] {
    return this.#pass(piece).filter(({ length }) => length > 0)
  }

  /**
   * Ends the response with an error message after its current packet.
   *
   * @returns the bytes to send now: the message, unless a packet is incomplete; `undefined` if the response isn't in its
   *   multiplexed part, so that a message can't be sent
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
    return [...this.#takeMessage(), this.#terminal ?? NOTHING]
  }

  #takeMessage(): Buffer[] {
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
    // An incomplete packet is kept, and the writer may reuse the piece.
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
        // An incomplete length is held back, so that a message can still be sent before its packet.
        if (piece.length - at < wanted) {
          this.#digits = Buffer.concat([held, piece.subarray(at)])
          return this.#withMessage([...sent, piece.subarray(0, at)])
        }
        const length = packetLength(joined(held, piece.subarray(at, at + wanted)))
        if (length === undefined) {
          this.#phase = 'opaque'
          return [...this.#takeMessage(), ...sent, held, piece]
        }
        this.#missing = Math.max(length, LENGTH_DIGITS) - held.length
        sent.push(held)
        held = NOTHING
      }
      const step = Math.min(this.#missing, piece.length - at)
      this.#missing -= step
      at += step
    }
    const passed = this.#withMessage([...sent, piece])
    return this.#terminal !== undefined && this.#missing === 0 ? [...passed, ...this.#end()] : passed
  }

  /** Puts the message before the first bytes. */
  #withMessage(pieces: Buffer[]): Buffer[] {
    return pieces.every(({ length }) => length === 0) ? pieces : [...this.#takeMessage(), ...pieces]
  }
}

function joined(first: Buffer, second: Buffer): Buffer {
  return first.length === 0 ? second : Buffer.concat([first, second])
}

const FIRST_PACKETS = {
  'packfile-section': Buffer.from('000dpackfile\n'),
  acknowledgements: Buffer.from('0008NAK\n'),
} as const
// With any other argument the response may begin with another packet.
const ASKS_AT_ONCE = /^(want [0-9a-f]+|filter .*|thin-pack|no-progress|include-tag|ofs-delta|done)$/

/**
 * Tells how upload-pack responds to a request (Git's documentation: gitprotocol-v2, fetch; gitprotocol-pack).
 *
 * @param bytes the beginning of the request, decoded; the first kilobytes are enough, since the arguments come before the wants
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
    // Capabilities, before the delimiter, don't change the response.
    if (packet.kind === 'delimiter') lines.length = 0
    else lines.push(packet.data.toString('latin1').trimEnd())
  }
  const args = new Set(lines)
  // Such a response is multiplexed from its first byte, but git doesn't show messages in it.
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
