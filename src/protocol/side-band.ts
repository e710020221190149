import { FLUSH } from './pkt-line.js'

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
