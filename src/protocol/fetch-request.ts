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
}

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
    return sideBand && { lead: 'acknowledgements', sideBand, wantsProgress: !words.has('no-progress') }
  }
  if (line !== 'command=fetch') return undefined
  const args = new Set<string>()
  for (let packet = reader.next(); typeof packet !== 'string' && packet.kind !== 'flush'; packet = reader.next()) {
    args.add(packet.data.toString('latin1').trimEnd())
  }
  // All of such an answer is multiplexed, in a way that git itself does not show.
  if (args.has('sideband-all')) return undefined
  return { lead: 'packfile-section', sideBand: 'side-band-64k', wantsProgress: !args.has('no-progress') }
}

/** Whether a request's body asks for refs (protocol v2, ls-refs) rather than for objects. @param start its first bytes */
export function asksForRefs(start: Buffer): boolean {
  return /^[0-9a-f]{4}command=ls-refs\n?/i.test(start.toString('latin1', 0, 32))
}
