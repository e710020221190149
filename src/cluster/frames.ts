import type { Readable, Writable } from 'node:stream'

/** What goes between two workers: a piece of JSON, or bytes of an answer. */
export type Frame =
  { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'bytes'; readonly bytes: Buffer }

const HEAD = 5
const JSON_FRAME = 0
const BYTES_FRAME = 1
// A question holds a request for a fetch: some 200,000 haves.
const LONGEST_JSON = 64 * 1_048_576

/** Writes a value. */
export function writeValue(to: Writable, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value))
  to.write(Buffer.concat([head(JSON_FRAME, text.length), text]))
}

/** Writes bytes, which belong to the writer again when `done` is called. */
export function writeBytes(to: Writable, bytes: Buffer, done: (error?: Error | null) => void): void {
  to.cork()
  to.write(head(BYTES_FRAME, bytes.length))
  to.write(bytes, done)
  to.uncork()
}

function head(kind: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEAD)
  bytes.writeUInt8(kind, 0)
  bytes.writeUInt32BE(length, 1)
  return bytes
}

/**
 * Reads the first value that comes, and goes on reading, so that the end of the connection shows.
 *
 * @throws Error where it is none
 */
export async function readValue(from: Readable): Promise<unknown> {
  let bytes: Buffer = Buffer.alloc(0)
  return await new Promise((resolve, reject) => {
    from.on('close', () => reject(new Error('the connection has ended')))
    from.on('data', (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece])
      const whole = bytes.length < HEAD ? undefined : HEAD + bytes.readUInt32BE(1)
      if (whole === undefined || bytes.length < whole) return
      try {
        resolve(JSON.parse(bytes.subarray(HEAD, whole).toString()))
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })
}

/**
 * Reads frames. Bytes come as they arrive, perhaps in several pieces.
 *
 * @throws Error where the connection breaks, or what comes are no frames
 */
export async function* readFrames(from: Readable): AsyncGenerator<Frame, void, undefined> {
  let waiting: Buffer = Buffer.alloc(0)
  let kind: number | undefined
  let left = 0
  for await (const piece of from as AsyncIterable<Buffer>) {
    waiting = waiting.length === 0 ? piece : Buffer.concat([waiting, piece])
    for (;;) {
      if (kind === undefined) {
        if (waiting.length < HEAD) break
        kind = waiting.readUInt8(0)
        left = waiting.readUInt32BE(1)
        waiting = waiting.subarray(HEAD)
        if (kind > BYTES_FRAME || (kind === JSON_FRAME && left > LONGEST_JSON)) throw new Error('not a frame')
      }
      if (kind === JSON_FRAME) {
        if (waiting.length < left) break
        const text = waiting.subarray(0, left).toString()
        yield { kind: 'json', value: JSON.parse(text) as unknown }
      } else {
        const bytes = waiting.subarray(0, left)
        if (bytes.length > 0) yield { kind: 'bytes', bytes }
        if (bytes.length < left) {
          left -= bytes.length
          waiting = Buffer.alloc(0)
          break
        }
      }
      waiting = waiting.subarray(left)
      kind = undefined
    }
  }
}
