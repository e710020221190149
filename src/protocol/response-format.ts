import { PktLineReader } from './pkt-line.js'
import type { PushHead } from './push-head.js'
import type { ResponseFormat, SideBand } from './side-band.js'
import { sideBandOf } from './side-band.js'

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
export function pushResponseFormat({ capabilities }: PushHead): ResponseFormat | undefined {
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
