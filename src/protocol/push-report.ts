import type { Packet } from './pkt-line.js'
import { encodePktLine, FLUSH, PktLineReader } from './pkt-line.js'
import type { PushCommand, PushHead } from './push-head.js'
import { BAND } from './side-band.js'

/** Why a ref was not changed. */
export type RefRefusal = { readonly command: PushCommand; readonly reason: string }

/** receive-pack's report on a push (Git's documentation: gitprotocol-pack, report-status). */
export type PushReport = {
  /** `ok`, or what is wrong with the pack. */
  readonly unpack: string
  /** The lines about refs, as they came: `ok`, `ng`, and the options of version 2 that belong to the `ok` before them. */
  readonly lines: readonly Buffer[]
}

// Git prints longer ones, but nobody reads them.
const MAX_REASON_BYTES = 190
const ELLIPSIS = Buffer.from('…')

/** Whether the client takes a report. */
export function reportsStatus({ capabilities }: PushHead): boolean {
  return capabilities.has('report-status') || capabilities.has('report-status-v2')
}

/**
 * A report with our refusals. They come first: in version 2, option lines follow the `ok` line that they belong to, so nothing
 * can be inserted there.
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

/** The report of a push that is refused completely. It has exactly receive-pack's format: git complains about others. */
export function encodeRefusal(refusals: readonly RefRefusal[]): Buffer {
  return encodeReport({ unpack: 'ok', lines: [] }, refusals)
}

/** The ref and reason of a line that refuses an update; `undefined` for other lines. */
export function refusedRef(line: Buffer): { readonly ref: string; readonly reason: string } | undefined {
  const [, ref, reason] = /^ng ([^ ]+) (.*?)\n?$/s.exec(line.toString('latin1')) ?? []
  return ref === undefined || reason === undefined ? undefined : { ref, reason }
}

// As many lines as one push can have commands.
const MAX_REPORT_BYTES = 32 * 1_048_576

/** Reads a response of receive-pack as it arrives. It keeps the report, and passes everything else on. */
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

  /** Takes the next bytes. @returns what to pass on: messages for the user */
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

  /** The report; `undefined` until all of it has come, or if the response has no complete one. */
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
      if (packet === 'malformed' || !isReportPacket(packet) || this.#length > MAX_REPORT_BYTES) {
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
  if (bytes.length <= MAX_REASON_BYTES) return bytes.toString()
  // A character that was cut in two is dropped.
  const start = bytes.toString('utf8', 0, MAX_REASON_BYTES - ELLIPSIS.length).replace(/\ufffd+$/, '')
  return `${start}${ELLIPSIS.toString()}`
}
