/** The flush packet: ends a list (Git's documentation: gitprotocol-common, pkt-line). */
export const FLUSH = Buffer.from('0000')

/** A packet begins with its length in hexadecimal digits, which count themselves. */
export const LENGTH_DIGITS = 4
const MAX_LENGTH = 65_520

/**
 * One packet: its length and its data.
 *
 * @param data at most 65,516 bytes
 * @throws TypeError when the data is longer
 */
export function encodePktLine(data: string | Buffer): Buffer {
  const body = typeof data === 'string' ? Buffer.from(data) : data
  const length = body.length + LENGTH_DIGITS
  if (length > MAX_LENGTH) throw new TypeError(`a pkt-line holds ${MAX_LENGTH - LENGTH_DIGITS} bytes at most`)
  return Buffer.concat([Buffer.from(length.toString(16).padStart(LENGTH_DIGITS, '0')), body])
}

/** One packet as it was read. `0000` ends a list; `0001` and `0002` are protocol v2's. */
export type Packet = {
  readonly kind: 'data' | 'flush' | 'delimiter' | 'response-end'
  /** What it holds; empty but for `data`. */
  readonly data: Buffer
  /** The whole packet. */
  readonly bytes: Buffer
}

/** Reads packets from bytes that come in pieces, cut anywhere. It holds no more than one packet and the last piece, twice. */
export class PktLineReader {
  #buffer: Buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** What was added and not read yet. */
  get rest(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end)
  }

  add(piece: Buffer): void {
    const { rest } = this
    if (rest.length === 0) {
      this.#buffer = piece
      this.#start = 0
      this.#end = piece.length
      return
    }
    // Room for twice as much: a packet that comes byte by byte is copied a few times, not once for each byte.
    if (this.#end + piece.length > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafe(2 * (rest.length + piece.length))
      this.#start = 0
      this.#end = rest.copy(this.#buffer)
    }
    this.#end += piece.copy(this.#buffer, this.#end)
  }

  /** The next packet; `more` until all of it was added. */
  next(): Packet | 'more' | 'malformed' {
    const available = this.#end - this.#start
    if (available < LENGTH_DIGITS) return 'more'
    const length = packetLength(this.#buffer, this.#start)
    if (length === undefined) return 'malformed'
    const kind = (['flush', 'delimiter', 'response-end'] as const)[length] ?? 'data'
    const size = Math.max(length, LENGTH_DIGITS)
    if (available < size) return 'more'
    const bytes = this.#buffer.subarray(this.#start, this.#start + size)
    this.#start += size
    return { kind, data: bytes.subarray(LENGTH_DIGITS), bytes }
  }
}

/**
 * The length that a packet's first four bytes give; 0, 1 and 2 are the special packets, 3 is not defined.
 *
 * @param start where the packet begins
 */
export function packetLength(bytes: Buffer, start = 0): number | undefined {
  let length = 0
  // A string and an expression for each packet would take half the time of reading small ones.
  for (let at = start; at < start + LENGTH_DIGITS; at++) length = length * 16 + hexDigit(bytes[at])
  return length === 3 || length > MAX_LENGTH || Number.isNaN(length) ? undefined : length
}

/** @returns `NaN` for any other byte, or none */
function hexDigit(byte = 0): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : Number.NaN
}

/** What the first bytes of an RPC's body are. */
export type BodyStart = 'empty' | 'flush-only' | 'packets' | 'not-packets'

/**
 * Tells a body's kind from its first bytes.
 *
 * @param bytes at least five bytes, or all of a shorter body
 * @returns `flush-only` is the 4-byte probe by which git tests authentication before it sends a chunked request
 */
export function classifyBodyStart(bytes: Buffer): BodyStart {
  if (bytes.length === 0) return 'empty'
  const length = packetLength(bytes)
  if (bytes.length === LENGTH_DIGITS) return length === 0 ? 'flush-only' : 'not-packets'
  return length === undefined ? 'not-packets' : 'packets'
}
