import { PktLineReader } from './pkt-line.js'
import type { SideBand } from './side-band.js'
import { sideBandOf } from './side-band.js'

/** What the beginning of a fetch request tells of its answer. */
export type FetchRequest = {
  /** How the answer begins: version 2 says `packfile`, earlier ones begin at once with multiplexed packets. */
  readonly lead: 'packfile-section' | 'acknowledgements'
  readonly sideBand: SideBand
  /** Words for people are wanted: git asks for silence with `-q`, and where its output is no terminal. */
  readonly wantsProgress: boolean
  /**
   * The packet that its answer begins with, where that is certain before the server has answered: `packfile`, or `NAK`. Not where
   * the server first acknowledges what the client has, or says where the history is cut.
   */
  readonly firstPacket: Buffer | undefined
}

const FIRST_PACKETS = {
  'packfile-section': Buffer.from('000dpackfile\n'),
  acknowledgements: Buffer.from('0008NAK\n'),
} as const
// Whatever else is asked for may make the answer begin otherwise.
const ASKS_AT_ONCE = /^(want [0-9a-f]+|filter .*|thin-pack|no-progress|include-tag|ofs-delta|done)$/

/**
 * Reads the beginning of a request to upload-pack (Git's documentation: gitprotocol-v2, fetch; gitprotocol-pack).
 *
 * @param bytes decoded; the first kilobytes are enough, since what is looked for stands before the objects that are wanted
 * @returns `undefined` where the answer is not multiplexed, or not in a way that is known
 */
export function readFetchRequest(bytes: Buffer): FetchRequest | undefined {
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
    return asked('acknowledgements', sideBand, !words.has('no-progress'), isCertain)
  }
  if (line !== 'command=fetch') return undefined
  const lines: string[] = []
  let packet = reader.next()
  for (; typeof packet !== 'string' && packet.kind !== 'flush'; packet = reader.next()) {
    // What stands before the arguments says nothing about the answer.
    if (packet.kind === 'delimiter') lines.length = 0
    else lines.push(packet.data.toString('latin1').trimEnd())
  }
  const args = new Set(lines)
  // All of such an answer is multiplexed, in a way that git itself does not show.
  if (args.has('sideband-all')) return undefined
  const isCertain =
    typeof packet !== 'string' &&
    args.has('done') &&
    lines.some((line) => line.startsWith('want ')) &&
    lines.every((line) => ASKS_AT_ONCE.test(line))
  return asked('packfile-section', 'side-band-64k', !args.has('no-progress'), isCertain)
}

function asked(
  lead: FetchRequest['lead'],
  sideBand: SideBand,
  wantsProgress: boolean,
  isCertain: boolean,
): FetchRequest {
  return { lead, sideBand, wantsProgress, firstPacket: isCertain ? FIRST_PACKETS[lead] : undefined }
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
