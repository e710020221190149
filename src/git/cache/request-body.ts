import type { Readable } from 'node:stream'
import { PassThrough } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { MAX_BODY_BYTES } from './upload-pack-request.js'

/** A request's body, read up to a limit. */
export type ReadBody =
  /** All of it, decoded. */
  | { readonly kind: 'complete'; readonly bytes: Buffer }
  /** Too long, or not decodable: a stream of all of it, as it came. */
  | { readonly kind: 'stream'; readonly body: Readable }
  | { readonly kind: 'client-left' }

/** Reads a request's body, unless it is too long. @param signal aborted when the client leaves */
export async function readBody(body: Readable, encoding: 'gzip' | undefined, signal: AbortSignal): Promise<ReadBody> {
  const pieces: Buffer[] = []
  let length = 0
  const end = await new Promise<'complete' | 'long' | 'client-left'>((resolve) => {
    const finish = (how: 'complete' | 'long' | 'client-left'): void => {
      body.off('readable', look).off('end', ended).off('error', failed).off('close', failed)
      signal.removeEventListener('abort', failed)
      resolve(how)
    }
    const failed = (): void => finish('client-left')
    const ended = (): void => finish('complete')
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
  const bytes = end === 'complete' ? decoded(raw, encoding) : undefined
  return bytes === undefined ? { kind: 'stream', body: rewound(raw, body) } : { kind: 'complete', bytes }
}

function decoded(raw: Buffer, encoding: 'gzip' | undefined): Buffer | undefined {
  if (encoding === undefined) return raw
  try {
    return gunzipSync(raw, { maxOutputLength: MAX_BODY_BYTES })
  } catch {
    return undefined
  }
}

/** A stream of the whole body, the part that was read included. */
function rewound(start: Buffer, rest: Readable): Readable {
  const body = new PassThrough()
  body.write(start)
  // Without a listener an error would end the process.
  body.on('error', () => undefined)
  rest.on('error', (error) => body.destroy(error))
  if (rest.readableEnded) body.end()
  else rest.pipe(body)
  return body
}
