import type { IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Identity } from '../../domain/access/authenticate.js'
import type { Refusal } from '../../domain/access/refusal.js'
import { describeRefusal } from '../../domain/access/refusal.js'
import type { RequestContext } from '../../core/http.js'
import { sendTextUnread } from '../../core/http.js'
import type { Fault, QueueCounts, ResponseHead, ResponseWriter, TransferProgress } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { PushHead } from '../../protocol/push-head.js'
import { encodeRefusal, reportsStatus } from '../../protocol/push-report.js'
import type { ResponseFormat } from '../../protocol/side-band.js'
import { encodeAnswer, encodeProgress, SideBandResponse } from '../../protocol/side-band.js'

// While a request waits for a slot, the client sees progress, or the connection is kept open, every 30 s at the latest.
const QUEUE_TIMEOUT_MS = 90_000
// Advertisements are mostly hexadecimal: the cheapest level halves them, and higher ones gain little.
const GZIP_LEVEL = 1
// Well within the two seconds in which a revoked push has ended.
const READ_TIMEOUT_MS = 1_000

/** The response to one Git request, into which our messages can be put. */
export class GitResponse implements ResponseWriter {
  readonly #context: RequestContext
  readonly #request: GitRequest
  readonly #client = new AbortController()
  #format: ResponseFormat | undefined
  #message: string | undefined
  #push: PushHead | undefined
  #body: Writable | undefined
  /** The body, if it is multiplexed. */
  #multiplexed: MultiplexedBody | undefined
  #hasBackendBegun = false

  constructor(context: RequestContext, request: GitRequest) {
    this.#context = context
    this.#request = request
    const { response } = context
    const onClose = (): void => {
      if (!response.writableFinished) this.#client.abort()
    }
    if (response.closed) onClose()
    else response.once('close', onClose)
  }

  /** Aborted when the client has left, or when the response was ended with an error. */
  get signal(): AbortSignal {
    return this.#client.signal
  }

  /** Whether anything was sent. */
  get isBegun(): boolean {
    return this.#body !== undefined
  }

  /**
   * Lets messages into a multiplexed response. The backend must be asked not to compress it (RFC 9110, 12.5.3): a compressed
   * response has no place for them.
   *
   * @param message shown before everything else
   */
  multiplex(format: ResponseFormat, message: string | undefined): void {
    this.#format = format
    this.#message = message
  }

  /** Lets {@link endWith} refuse a push in its report, as long as the response has not begun. */
  expectReport(push: PushHead): void {
    this.#push = push
  }

  begin(head: ResponseHead = {}): Writable {
    this.#hasBackendBegun = true
    return this.#body ?? this.#open(head)
  }

  /** Shows the client that it waits, if it takes messages. The response begins early for that. */
  onQueued({ running, waiting }: QueueCounts): void {
    const { socket } = this.#context.request
    // It is the gate that doesn't send anything: the client must not be disconnected for that.
    if (socket.timeout !== undefined) socket.setTimeout(Math.max(socket.timeout, QUEUE_TIMEOUT_MS))
    const firstPacket = this.#format?.firstPacket
    // The second run of a push waits for a slot, too.
    if (this.#hasBackendBegun || firstPacket === undefined) return
    if (this.#body === undefined) this.#open({})
    const requests = running === 1 ? '1 request' : `${running} requests`
    this.#multiplexed?.progress(`Waiting for a slot: ${requests} running, ${waiting} waiting.`, firstPacket)
  }

  progress(): TransferProgress {
    const { request, response } = this.#context
    return {
      bytes: request.socket.bytesRead + request.socket.bytesWritten,
      waitsForClient: response.writableLength > 0 || (!request.complete && request.readableLength === 0),
    }
  }

  /** Ends a response that has begun. */
  end(): void {
    this.#body?.end()
  }

  /**
   * Ends the response with an error message for the user: a report that refuses each ref of a push, or a side-band error
   * where the current packet ends. The backend is aborted.
   *
   * @returns false if the response has no place for a message
   */
  endWith(text: string): boolean {
    return this.isBegun ? this.#multiplexed?.endWith(text) === true : this.#refusePush(text)
  }

  #open(head: ResponseHead): Writable {
    const { contentLength, ...streamed } = head
    const isFixed = head.contentEncoding !== undefined || (contentLength !== undefined && this.#message === undefined)
    if (this.#format === undefined || isFixed) {
      this.#body = this.#writeHead(head)
    } else {
      const packets = new SideBandResponse(this.#format, this.#message)
      this.#multiplexed = new MultiplexedBody(packets, this.#writeHead(streamed), () => this.#client.abort())
      this.#body = this.#multiplexed
    }
    return this.#body
  }

  #writeHead({ contentEncoding, contentLength, cacheControl, compressible }: ResponseHead): Writable {
    const { request, response } = this.#context
    const { service, phase } = this.#request
    const isCompressed = compressible === true && acceptsGzip(request)
    const encoding = isCompressed ? 'gzip' : contentEncoding
    response.writeHead(200, {
      'Content-Type': `application/x-${service}-${phase === 'advertisement' ? 'advertisement' : 'result'}`,
      'Cache-Control': cacheControl ?? 'no-cache',
      ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
      ...(contentLength === undefined || isCompressed ? {} : { 'Content-Length': contentLength }),
      ...(phase === 'advertisement' ? { Vary: 'Accept-Encoding' } : {}),
    })
    if (!isCompressed) return response
    const gzip = createGzip({ level: GZIP_LEVEL })
    gzip.pipe(response)
    return gzip
  }

  /** Refuses each ref of a push that the backend hasn't responded to. The backend's input ends, so it changes nothing. */
  #refusePush(text: string): boolean {
    if (this.#push === undefined || !reportsStatus(this.#push)) return false
    const { request } = this.#context
    this.#client.abort()
    request.unpipe()
    request.resume()
    const report = encodeRefusal(this.#push.commands.map((command) => ({ command, reason: text })))
    const body = this.begin()
    if (this.#format === undefined) body.write(report)
    else {
      body.write(encodeProgress(text, this.#format.sideBand))
      body.write(encodeAnswer(report, this.#format.sideBand))
    }
    this.#endWhenRead()
    return true
  }

  /**
   * Waits, a second at most, until the client has sent everything, if the connection ends with the response: while bytes of
   * the request are unread it would be reset, and the client might lose the response.
   */
  #endWhenRead(): void {
    const { request, response } = this.#context
    if (request.complete || response.shouldKeepAlive) return this.end()
    const timer = setTimeout(() => this.end(), READ_TIMEOUT_MS)
    request.once('end', () => {
      clearTimeout(timer)
      this.end()
    })
  }
}

/** The body of a multiplexed response on its way to the client, with our messages between its packets. */
export class MultiplexedBody extends Writable {
  readonly #packets: SideBandResponse
  readonly #client: Writable
  readonly #onEnded: () => void

  /** @param onEnded called when the client has taken the terminal error, or has left without it */
  constructor(packets: SideBandResponse, client: Writable, onEnded: () => void) {
    super()
    this.#packets = packets
    this.#client = client
    this.#onEnded = onEnded
  }

  progress(text: string, firstPacket: Buffer): void {
    this.#send(this.#packets.progress(text, firstPacket), () => undefined)
  }

  /** @returns false if a message can't stand here */
  endWith(text: string): boolean {
    const now = this.#packets.endWith(text)
    if (now === undefined) return false
    this.#send(now, () => undefined)
    return true
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // What comes after the terminal error is dropped.
    if (this.#packets.hasEnded) done()
    else this.#send(this.#packets.push(piece), done)
  }

  override _final(done: () => void): void {
    if (!this.#client.writableEnded) this.#client.end()
    done()
  }

  /** Sends pieces as they are. @param done called when they may be changed; others notice when the client has left */
  #send(pieces: readonly Buffer[], done: () => void): void {
    pieces.forEach((piece, index) => {
      if (index < pieces.length - 1) this.#client.write(piece)
      else this.#client.write(piece, () => done())
    })
    // A response whose connection is reset after its end emits no `finish`.
    if (this.#packets.hasEnded) this.#client.once('close', this.#onEnded).end()
    if (pieces.length === 0) done()
  }
}

/** Sends a refusal. */
export function refuse(
  refusal: Refusal,
  { request, response, record }: RequestContext,
  { baseUrl, realm }: { readonly baseUrl: () => string; readonly realm: string },
): void {
  const { status, text, challenge, retryAfter, contentType } = describeRefusal(refusal, baseUrl())
  record.decision = status >= 500 ? 'failed' : 'refused'
  record.rule ??= refusal.kind
  sendTextUnread(request, response, status, text, {
    ...(challenge ? { 'WWW-Authenticate': `Basic realm="${realm}", charset="UTF-8"` } : {}),
    ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
    ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
  })
}

/** Why a transfer was ended, for its user. @param rule that ended it */
export function describeRevocation(rule: string, identity: Identity): string {
  if (identity.kind === 'token' && rule === 'token revoked') return `token "${identity.token.name}" was revoked`
  return `access has ended: ${rule}`
}

/** The refusal that a failure of the backend becomes. */
export function refusalFor(fault: Fault, requestId: string): Refusal {
  switch (fault) {
    case 'request':
      return { kind: 'body-malformed' }
    case 'backend':
      return { kind: 'backend-failed', requestId }
    case 'overloaded':
      return { kind: 'overloaded' }
    case 'silence':
      return { kind: 'backend-silent', requestId }
  }
}

function acceptsGzip(request: IncomingMessage): boolean {
  const accepted = (request.headers['accept-encoding'] ?? '').toLowerCase()
  return accepted.split(',').some((entry) => {
    const [coding, ...parameters] = entry.split(';').map((part) => part.trim())
    return (coding === 'gzip' || coding === 'x-gzip') && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}
