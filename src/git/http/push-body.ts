import type { IncomingMessage } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { readUntil } from '../../core/read-ahead.js'
import type { PushHead } from '../../protocol/push-head.js'
import { PushHeadParser } from '../../protocol/push-parser.js'
import { isGzip } from './git-response.js'

/** What the body of a push begins with. */
export type PushStart =
  | { readonly kind: 'head'; readonly head: PushHead }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'client-left' }

// Packs are compressed already, so gzip makes them hardly smaller. Commands alone may shrink more: 8 MiB of them at most.
const FREE_INFLATED_BYTES = 16 * 1_048_576
const MAX_INFLATE_RATIO = 64

/** The body of a push, decoded. It fails when it inflates to far more than any pack does. */
export function decodePush(request: IncomingMessage): Readable {
  if (!isGzip(request)) return request
  const gunzip = createGunzip()
  let inflated = 0
  const decoded = new Transform({
    transform(piece: Buffer, _encoding, done) {
      inflated += piece.length
      if (inflated <= FREE_INFLATED_BYTES + MAX_INFLATE_RATIO * gunzip.bytesWritten) done(null, piece)
      else done(new Error(`a compressed push inflates to more than ${MAX_INFLATE_RATIO} times its size`))
    },
  })
  // Whoever reads it hears of damage; where nobody does any more, it must not end the program.
  decoded.on('error', () => undefined)
  gunzip.on('error', (error) => decoded.destroy(error))
  decoded.on('close', () => {
    gunzip.destroy()
    // A client reads its answer when it has sent everything.
    if (!request.readableEnded) request.resume()
  })
  // A client that leaves must fail the decoder, too, or its reader would wait for more.
  request.on('error', (error) => decoded.destroy(error))
  request.on('close', () => {
    if (!request.complete) decoded.destroy()
  })
  return request.pipe(gunzip).pipe(decoded)
}

/** What is left of a body that nobody needs, as it is sent: 2 MB of gzip may inflate to 2 GB, at 5 s of CPU. */
export function undecoded(body: Readable, request: IncomingMessage): Readable {
  if (body === request) return body
  request.unpipe()
  body.destroy()
  return request
}

/**
 * Reads the head of a push and leaves the pack in the stream.
 *
 * @param body decoded
 * @returns a head without commands for a body of nothing, or for the 4-byte probe that git sends before a chunked push
 */
export async function readPushHead(body: Readable, request: IncomingMessage): Promise<PushStart> {
  const parser = new PushHeadParser()
  let length = 0
  const start = await readUntil(body, (piece) => {
    length += piece.length
    const parsed = parser.push(piece)
    if (parsed.kind === 'more') return undefined
    if (parsed.kind === 'head' && parsed.rest.length > 0) body.unshift(parsed.rest)
    return parsed
  })
  if (start === 'left') {
    return request.complete ? { kind: 'malformed', reason: 'its compression is damaged' } : { kind: 'client-left' }
  }
  if (start !== 'ended') return start
  if (length > 0) return { kind: 'malformed', reason: 'it ends within its commands' }
  const parsed = parser.push(Buffer.from('0000'))
  return parsed.kind === 'more' ? { kind: 'malformed', reason: 'it is empty' } : parsed
}

/** Pipes a body on; a client that leaves fails both ends. */
export function flowInto(rest: Readable, whole: Duplex): Readable {
  // A client that leaves aborts the exchange; a reader that does not listen for this error must not end the program.
  whole.on('error', () => undefined)
  if (rest.destroyed && !rest.readableEnded) return whole.destroy()
  rest.on('error', (error) => whole.destroy(error))
  rest.on('close', () => {
    if (!rest.readableEnded) whole.destroy()
  })
  return rest.pipe(whole)
}

/** How the draining of a body ended. */
export type Drained = 'whole' | 'too-long' | 'client-left'

/**
 * Reads a body and drops it. A client shows the answer to a push only when it has sent all of it.
 *
 * @param limit bytes after which it is given up
 * @param onLong called when more than `longAfter` bytes have come
 */
export async function drain(
  body: Readable,
  { limit, longAfter, onLong }: { readonly limit: number; readonly longAfter: number; readonly onLong: () => void },
): Promise<Drained> {
  let length = 0
  return await new Promise((resolve) => {
    const finish = (drained: Drained): void => {
      body.off('data', drop).off('end', ended).off('error', failed).off('close', failed)
      resolve(drained)
    }
    const ended = (): void => finish('whole')
    const failed = (): void => finish('client-left')
    const drop = (chunk: Buffer): void => {
      if (length <= longAfter && length + chunk.length > longAfter) onLong()
      length += chunk.length
      if (length <= limit) return
      body.pause()
      finish('too-long')
    }
    if (body.readableEnded) return ended()
    if (body.destroyed) return failed()
    body.on('data', drop).on('end', ended).on('error', failed).on('close', failed)
  })
}
