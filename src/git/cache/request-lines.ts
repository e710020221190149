import { PktLineReader } from '../../protocol/pkt-line.js'

/** A line of a request, without the LF that may end it, or what stands between lists of lines. */
export type RequestLine = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'flush' | 'delimiter' }

// C would end a text at a NUL, and no argument of a fetch holds another control character; names of refs may be UTF-8.
const TEXT = /^[\x20-\x7e\x80-\xff]+$/

/**
 * Reads a body that is packets of text from its first byte to its last (Git's documentation: gitprotocol-common, pkt-line).
 * Senders should end a line with LF and receivers must not complain where they don't, so one LF makes no difference.
 *
 * @returns texts as Latin-1, one character a byte; `undefined` where it is anything else
 */
export function readRequestLines(body: Buffer): readonly RequestLine[] | undefined {
  const reader = new PktLineReader()
  reader.add(body)
  const lines: RequestLine[] = []
  for (let packet = reader.next(); packet !== 'more'; packet = reader.next()) {
    if (packet === 'malformed' || packet.kind === 'response-end') return undefined
    if (packet.kind === 'data') {
      const text = packet.data.toString('latin1').replace(/\n$/, '')
      if (!TEXT.test(text)) return undefined
      lines.push({ kind: 'line', text })
    } else lines.push({ kind: packet.kind })
  }
  return reader.rest.length === 0 ? lines : undefined
}

/** The texts of a list that must hold lines only. */
export function textsOf(lines: readonly RequestLine[]): readonly string[] | undefined {
  const texts = lines.flatMap((line) => (line.kind === 'line' ? [line.text] : []))
  return texts.length === lines.length ? texts : undefined
}
