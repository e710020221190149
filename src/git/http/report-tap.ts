import { Writable } from 'node:stream'
import type { ResponseHead } from '../../protocol/backend.js'
import type { PushReport } from '../../protocol/push-report.js'
import { ReportReader } from '../../protocol/push-report.js'

/** An answer to a push on its way to the client, whose report is read beside. */
export type ReportTap = {
  readonly begin: (head?: ResponseHead) => Writable
  /** Waits until all has passed. @returns the report, where there was one that could be read */
  readonly finish: () => Promise<PushReport | undefined>
}

/** Lets an answer pass as it is, and reads its report. @param begin where it goes */
export function tapReport(begin: (head?: ResponseHead) => Writable, isMultiplexed: boolean): ReportTap {
  const reader = new ReportReader(isMultiplexed)
  let tap: Writable | undefined
  return {
    begin(head) {
      const client = begin(head)
      // Compressed, it can't be read.
      if (head?.contentEncoding !== undefined) return client
      tap = passingTo(
        () => client,
        (chunk) => {
          reader.push(chunk)
          return chunk
        },
      )
      return tap
    },
    async finish() {
      await new Promise<void>((resolve) => (tap === undefined ? resolve() : tap.end(() => resolve())))
      return reader.report
    },
  }
}

/**
 * A stream that passes on what becomes of its chunks, at the speed of whoever takes it.
 *
 * @param client where it goes, asked for with the first chunk
 * @param change what is passed on of a chunk; empty: nothing
 */
export function passingTo(client: () => Writable, change: (chunk: Buffer) => Buffer): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const passed = change(chunk)
      const target = client()
      if (passed.length === 0 || target.write(passed) || target.destroyed) {
        done()
        return
      }
      const go = (): void => {
        target.off('drain', go).off('close', go)
        done()
      }
      target.on('drain', go).on('close', go)
    },
  })
}
