/** The flush packet: ends a list (Git's documentation: gitprotocol-common, pkt-line). */
export const FLUSH = Buffer.from('0000')

// Four hexadecimal digits of length, which count themselves, and at most 65516 bytes of data.
const LENGTH_DIGITS = 4
const MAX_LENGTH = 65_520
const LENGTH = /^[0-9a-f]{4}$/i

/**
 * One packet: its length and its data.
 *
 * @param data at most 65,516 bytes
 * @throws TypeError when the data is longer
 */
export function encodePktLine(data: string): Buffer {
  const body = Buffer.from(data)
  const length = body.length + LENGTH_DIGITS
  if (length > MAX_LENGTH) throw new TypeError(`a pkt-line holds ${MAX_LENGTH - LENGTH_DIGITS} bytes at most`)
  return Buffer.concat([Buffer.from(length.toString(16).padStart(LENGTH_DIGITS, '0')), body])
}

/** What the first bytes of an exchange's body are. */
export type BodyStart = 'empty' | 'flush-only' | 'packets' | 'not-packets'

/**
 * Tells a body's kind from its first bytes.
 *
 * @param bytes at least five bytes, or all of a shorter body
 * @returns `flush-only` is the 4-byte probe by which git tests authentication before it sends a chunked push
 */
export function classifyBodyStart(bytes: Buffer): BodyStart {
  if (bytes.length === 0) return 'empty'
  const digits = bytes.toString('latin1', 0, LENGTH_DIGITS)
  if (!LENGTH.test(digits)) return 'not-packets'
  const length = Number.parseInt(digits, 16)
  if (bytes.length === LENGTH_DIGITS) return length === 0 ? 'flush-only' : 'not-packets'
  // 1 and 2 are the delimiter and the response end of protocol v2; 3 is not defined.
  return length === 3 || length > MAX_LENGTH ? 'not-packets' : 'packets'
}
