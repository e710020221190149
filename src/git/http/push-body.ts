import type { IncomingMessage } from 'node:http'
import type { Duplex, Readable, TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { readUntil } from '../../core/read-ahead.js'
import type { RequestContext } from '../../core/http.js'
import type { PushHead, PushParsing } from '../../protocol/push-head.js'
import { PushHeadParser } from '../../protocol/push-head.js'
import type { SideBand } from '../../protocol/side-band.js'
import type { AuthorizedRequest, PushHeads } from './authorized-request.js'
import { isGzip } from './authorized-request.js'

/** A push whose commands are known. */
export type Push = {
  readonly authorized: AuthorizedRequest
  readonly head: PushHead
  /** The pack, decoded, if one follows. */
  readonly pack: Readable
  /** How the response is multiplexed, if at all. */
  readonly sideBand: SideBand | undefined
}

/** What the body of a push begins with. */
export type PushStart =
  | { readonly kind: 'head'; readonly head: PushHead }
  | { readonly kind: 'malformed'; readonly reason: string }
  /** It came too slowly. */
  | { readonly kind: 'late' }
  /** The account's other pushes have taken all the memory for heads. The capabilities are those of the first line. */
  | { readonly kind: 'too-many'; readonly capabilities: ReadonlySet<string> }
  | { readonly kind: 'client-left' }

// Packs are compressed already, so gzip makes them hardly smaller. Git doesn't compress pushes, and JGit only those of up to 1 MiB.
const FREE_INFLATED_BYTES = 1_048_576
const MAX_INFLATE_RATIO = 64

/**
 * The body of a push, decoded. It fails when it inflates to far more than any pack does.
 *
 * @param signal aborted when the push has ended
 */
export function decodePush(request: IncomingMessage, signal: AbortSignal): Readable {
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
  // Its reader notices damage. Without a reader, damage must not end the process.
  decoded.on('error', () => undefined)
  gunzip.on('error', (error) => decoded.destroy(error))
  decoded.on('close', () => {
    gunzip.destroy()
    // A client reads its response when it has sent everything.
    if (!request.readableEnded) request.resume()
  })
  // A client that leaves must fail the decoder, too, or its reader would wait for more.
  request.on('error', (error) => decoded.destroy(error))
  request.on('close', () => {
    if (!request.complete) decoded.destroy()
  })
  signal.addEventListener('abort', () => decoded.destroy(), { once: true })
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
 * @param account that the head counts for
 * @returns a head without commands for an empty body, or for the 4-byte probe that git sends before a chunked push
 */
export async function readPushHead(
  body: Readable,
  account: string,
  context: Pick<RequestContext, 'request' | 'traffic' | 'onEnd'>,
  heads: PushHeads,
): Promise<PushStart> {
  const parser = new PushHeadParser()
  const hold = heads.hold(account, context)
  const deadline = heads.deadline(context)
  let length = 0
  const take = (
    piece: Buffer,
  ): Exclude<PushParsing, { kind: 'more' }> | (PushStart & { kind: 'too-many' }) | undefined => {
    length += piece.length
    const parsed = parser.push(piece)
    if (parsed.kind === 'head' && parsed.rest.length > 0) body.unshift(parsed.rest)
    if (parsed.kind === 'malformed') return parsed
    const isHeld = hold(parsed.kind === 'head' ? piece.length - parsed.rest.length : piece.length)
    if (!isHeld) return { kind: 'too-many', capabilities: parser.capabilities ?? new Set() }
    return parsed.kind === 'more' ? undefined : parsed
  }
  const start = await readUntil(body, take, deadline.signal)
  deadline.end()
  if (deadline.signal.aborted) return { kind: 'late' }
  if (start === 'left') {
    return context.request.complete
      ? { kind: 'malformed', reason: 'its compression is damaged' }
      : { kind: 'client-left' }
  }
  if (start !== 'ended') return start
  if (length > 0) return { kind: 'malformed', reason: 'it ends within its commands' }
  const parsed = parser.push(Buffer.from('0000'))
  return parsed.kind === 'more' ? { kind: 'malformed', reason: 'it is empty' } : parsed
}

/**
 * Pipes a body through a stream. A client that leaves fails both.
 *
 * @param signal aborted when the push has ended
 */
export function flowThrough<T extends Duplex>(body: Readable, stream: T, signal: AbortSignal): T {
  // A reader that doesn't listen for this error must not end the process.
  stream.on('error', () => undefined)
  if (signal.aborted || (body.destroyed && !body.readableEnded)) return stream.destroy()
  signal.addEventListener('abort', () => stream.destroy(), { once: true })
  body.on('error', (error) => stream.destroy(error))
  body.on('close', () => {
    if (!body.readableEnded) stream.destroy()
  })
  return body.pipe(stream)
}

/**
 * Passes a push on for as long as it is still allowed. A client can hold the pack back for hours after its commands were
 * decided, and git acts on the pack's last byte: so each piece passes only after a look at the security epoch, and the first
 * only when the backend reads it, since the push may have waited for a slot.
 */
export class PushGuard extends Transform {
  readonly #body: Readable
  readonly #authorized: AuthorizedRequest
  #isFlowing = false

  constructor(body: Readable, authorized: AuthorizedRequest) {
    super()
    this.#body = body
    this.#authorized = authorized
  }

  override _read(size: number): void {
    if (!this.#isFlowing) {
      this.#isFlowing = true
      flowThrough(this.#body, this, this.#authorized.response.signal)
    }
    super._read(size)
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#authorized.isStillAllowed().then(
      (isAllowed) => (isAllowed ? done(null, piece) : this.destroy()),
      (error: unknown) => done(error as Error),
    )
  }
}

/** How the draining of a body ended. */
export type Drained = 'complete' | 'too-long' | 'client-left'

/**
 * Reads a body and drops it. A client shows the response to a push only when it has sent everything.
 *
 * @param limit bytes after which it is given up
 * @param onLong called when more than `longAfter` bytes have come
 */
export async function drain(
  body: Readable,
  { limit, longAfter, onLong }: { readonly limit: number; readonly longAfter: number; readonly onLong: () => void },
): Promise<Drained> {
  let length = 0
  const result = await readUntil(body, (piece) => {
    if (length <= longAfter && length + piece.length > longAfter) onLong()
    length += piece.length
    return length > limit ? piece : undefined
  })
  switch (result) {
    case 'ended':
      return 'complete'
    case 'left':
      return 'client-left'
    default:
      body.pause()
      return 'too-long'
  }
}
