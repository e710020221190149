import type { Packet } from './pkt-line.js'
import { encodePktLine, FLUSH, PktLineReader } from './pkt-line.js'
import type { PushCommand } from './push-head.js'
import { BAND } from './side-band.js'

/** Why a ref was not changed. */
export type RefRefusal = { readonly command: PushCommand; readonly reason: string }

/** What receive-pack says of a push (Git's documentation: gitprotocol-pack, report-status). */
export type PushReport = {
  /** `ok`, or what was wrong with the pack. */
  readonly unpack: string
  /** The lines about refs, as they came: `ok`, `ng`, and the options of version 2 that belong to the `ok` before them. */
  readonly lines: readonly Buffer[]
}

/** Bytes; git prints longer ones, but nobody reads them. */
const MAX_REASON = 190
const ELLIPSIS = Buffer.from('…')

/**
 * A report with refusals of ours. They stand first: an option of version 2 belongs to the `ok` before it, so that nothing
 * may come between.
 *
 * @returns its packets with the flush, not multiplexed
 */
export function encodeReport({ unpack, lines }: PushReport, refusals: readonly RefRefusal[]): Buffer {
  const ours = refusals.map(({ command, reason }) =>
    Buffer.concat([Buffer.from('ng '), command.refBytes, Buffer.from(` ${oneLine(reason)}\n`)]),
  )
  const all = [Buffer.from(`unpack ${oneLine(unpack)}\n`), ...ours, ...lines]
  return Buffer.concat([...all.map(encodePktLine), FLUSH])
}

/** The report of a push of which nothing was done. The words are receive-pack's own: of others git complains. */
export function encodeRefusal(refusals: readonly RefRefusal[]): Buffer {
  return encodeReport({ unpack: 'ok', lines: [] }, refusals)
}

/** The reason that a line gives for not changing a ref; `undefined` where it is no such line. */
export function refusedRef(line: Buffer): { readonly ref: string; readonly reason: string } | undefined {
  const [, ref, reason] = /^ng ([^ ]+) (.*?)\n?$/s.exec(line.toString('latin1')) ?? []
  return ref === undefined || reason === undefined ? undefined : { ref, reason }
}

/** As many reports as one push can have lines for. */
const MAX_REPORT = 32 * 1_048_576

/** Takes an answer of receive-pack apart as it arrives: the report is kept, everything else passes at once. */
export class ReportReader {
  readonly #outer = new PktLineReader()
  readonly #report = new PktLineReader()
  readonly #isMultiplexed: boolean
  readonly #lines: Buffer[] = []
  #length = 0
  #state: 'open' | 'complete' | 'broken' = 'open'

  constructor(isMultiplexed: boolean) {
    this.#isMultiplexed = isMultiplexed
  }

  /** Takes the next bytes. @returns what is to be passed on: words for people */
  push(piece: Buffer): Buffer {
    if (!this.#isMultiplexed) {
      this.#keep(piece)
      return Buffer.alloc(0)
    }
    if (this.#state === 'broken') return Buffer.alloc(0)
    const passed: Buffer[] = []
    this.#outer.add(piece)
    for (let packet = this.#outer.next(); packet !== 'more'; packet = this.#outer.next()) {
      if (packet === 'malformed') {
        this.#state = 'broken'
        break
      }
      if (packet.data[0] === BAND.answer) this.#keep(packet.data.subarray(1))
      else if (packet.kind === 'data') passed.push(packet.bytes)
    }
    return Buffer.concat(passed)
  }

  /** The report, once all of it was given; `undefined` when the answer ended without a whole one. */
  get report(): PushReport | undefined {
    const [first, ...lines] = this.#lines
    const unpack = /^unpack (.*?)\n?$/s.exec(first?.toString('utf8') ?? '')?.[1]
    return this.#state === 'complete' && unpack !== undefined ? { unpack, lines } : undefined
  }

  #keep(bytes: Buffer): void {
    if (this.#state !== 'open') return
    this.#length += bytes.length
    this.#report.add(bytes)
    for (let packet = this.#report.next(); packet !== 'more'; packet = this.#report.next()) {
      if (packet === 'malformed' || !isReportPacket(packet) || this.#length > MAX_REPORT) {
        this.#state = 'broken'
        return
      }
      if (packet.kind === 'flush') {
        this.#state = 'complete'
        return
      }
      this.#lines.push(packet.data)
    }
  }
}

function isReportPacket({ kind }: Packet): boolean {
  return kind === 'data' || kind === 'flush'
}

/** A reason as a report holds it: one line, without control characters, short. */
function oneLine(reason: string): string {
  const bytes = Buffer.from(reason.replace(/[\0-\x1f\x7f]+/g, ' '))
  if (bytes.length <= MAX_REASON) return bytes.toString()
  // A character that was cut in two is dropped.
  const start = bytes.toString('utf8', 0, MAX_REASON - ELLIPSIS.length).replace(/\ufffd+$/, '')
  return `${start}${ELLIPSIS.toString()}`
}
