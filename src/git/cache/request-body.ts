import type { Readable } from 'node:stream'
import { PassThrough } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { MAX_BODY_BYTES } from './parse-upload-pack-request.js'

/** A request's body, read as far as it is short. */
export type ReadBody =
  /** All of it, decoded. */
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** It is long, or can't be decoded: the stream has all of it, as it came. */
  | { readonly kind: 'stream'; readonly body: Readable }
  | { readonly kind: 'client-left' }

/** Reads a request's body to its end, unless it is long. @param signal aborted when the client leaves */
export async function readBody(body: Readable, encoding: 'gzip' | undefined, signal: AbortSignal): Promise<ReadBody> {
  const pieces: Buffer[] = []
  let length = 0
  const end = await new Promise<'whole' | 'long' | 'client-left'>((resolve) => {
    const finish = (how: 'whole' | 'long' | 'client-left'): void => {
      body.off('readable', look).off('end', ended).off('error', failed).off('close', failed)
      signal.removeEventListener('abort', failed)
      resolve(how)
    }
    const failed = (): void => finish('client-left')
    const ended = (): void => finish('whole')
    const look = (): void => {
      for (let piece = body.read() as Buffer | null; piece !== null; piece = body.read() as Buffer | null) {
        pieces.push(piece)
        length += piece.length
        if (length > MAX_BODY_BYTES) return finish('long')
      }
    }
    if (body.readableEnded) return ended()
    if (body.destroyed || signal.aborted) return failed()
    signal.addEventListener('abort', failed, { once: true })
    body.on('readable', look).on('end', ended).on('error', failed).on('close', failed)
  })
  if (end === 'client-left') return { kind: 'client-left' }
  const raw = Buffer.concat(pieces)
  const bytes = end === 'whole' ? decoded(raw, encoding) : undefined
  return bytes === undefined ? { kind: 'stream', body: again(raw, body) } : { kind: 'whole', bytes }
}

function decoded(raw: Buffer, encoding: 'gzip' | undefined): Buffer | undefined {
  if (encoding === undefined) return raw
  try {
    return gunzipSync(raw, { maxOutputLength: MAX_BODY_BYTES })
  } catch {
    return undefined
  }
}

/** The body from its beginning once more. */
function again(start: Buffer, rest: Readable): Readable {
  const whole = new PassThrough()
  whole.write(start)
  // A reader that does not listen must not end the program.
  whole.on('error', () => undefined)
  rest.on('error', (error) => whole.destroy(error))
  if (rest.readableEnded) whole.end()
  else rest.pipe(whole)
  return whole
}
