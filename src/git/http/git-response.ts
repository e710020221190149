import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Refusal } from '../../domain/access/refusal.js'
import type { RequestContext } from '../../core/http.js'
import type { BackendRequest, ClientPreferences, ResponseHead, ResponseWriter } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'

// `version=2`, perhaps with other keys after a colon (Git's documentation: protocol-v2, GIT_PROTOCOL).
const GIT_PROTOCOL = /^[a-z0-9.=:_-]{1,255}$/i
// While it waits for a slot a client is told so, or something is done in its place, every 30 s at the latest.
const WAITING_TIMEOUT = 90_000
// Advertisements are mostly hexadecimal: the cheapest level halves them, and dearer ones gain little.
const GZIP_LEVEL = 1

/** What a backend is given for one request, and how the handler ends its response. */
export type GitResponse = {
  readonly git: BackendRequest
  readonly writer: ResponseWriter
  /** Ends an answer that was begun. */
  readonly end: () => void
  /** Ends what the backend does for it, as if the client had left. */
  readonly abort: () => void
}

/** Makes an HTTP request into one of Git's. */
export function openGitResponse(
  { request, response, ip }: RequestContext,
  gitRequest: GitRequest,
  requester: BackendRequest['requester'],
): GitResponse {
  const { service, phase } = gitRequest
  const client = new AbortController()
  const onClose = (): void => {
    if (!response.writableFinished) client.abort()
  }
  if (response.closed) onClose()
  else response.once('close', onClose)
  let answer: Writable | undefined
  const begin = ({ contentEncoding, contentLength, cacheControl, compressible }: ResponseHead = {}): Writable => {
    const isCompressed = compressible === true && acceptsGzip(request)
    const encoding = isCompressed ? 'gzip' : contentEncoding
    response.writeHead(200, {
      'Content-Type': `application/x-${service}-${phase === 'advertisement' ? 'advertisement' : 'result'}`,
      'Cache-Control': cacheControl ?? 'no-cache',
      ...(encoding === undefined ? {} : { 'Content-Encoding': encoding }),
      ...(contentLength === undefined || isCompressed ? {} : { 'Content-Length': contentLength }),
      ...(phase === 'advertisement' ? { Vary: 'Accept-Encoding' } : {}),
    })
    answer = response
    if (isCompressed) {
      const gzip = createGzip({ level: GZIP_LEVEL })
      gzip.pipe(response)
      answer = gzip
    }
    return answer
  }
  return {
    git: {
      ...gitRequest,
      body: request,
      contentEncoding: isGzip(request) ? 'gzip' : undefined,
      contentLength: lengthOf(request),
      gitProtocol: gitProtocolOf(request),
      preferences: {
        ...preferencesOf(request.headers),
        // The report of a push is read and may be changed on its way.
        ...(service === 'git-receive-pack' && phase !== 'advertisement' ? { acceptEncoding: 'identity' } : {}),
      },
      clientAddress: ip,
      requester,
      slotRequest: { account: requester?.username ?? ip, isSmall: phase === 'advertisement' },
      signal: client.signal,
    },
    writer: {
      begin,
      onQueued: () => keepOpen(request.socket),
      progress: () => ({
        bytes: request.socket.bytesRead + request.socket.bytesWritten,
        waitsForClient: response.writableLength > 0 || (!request.complete && request.readableLength === 0),
      }),
    },
    end: () => answer?.end(),
    abort: () => client.abort(),
  }
}

/** It is we who have a client wait: that counts as no silence of its own. */
function keepOpen(socket: Socket): void {
  if (socket.timeout !== undefined) socket.setTimeout(Math.max(socket.timeout, WAITING_TIMEOUT))
}

/** What is wrong with the headers of an exchange's body, if anything. */
export function requestContentError(request: IncomingMessage, { service }: GitRequest): Refusal | undefined {
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') return { kind: 'transfer-coding-unknown' }
  const expected = `application/x-${service}-request`
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type !== expected) return { kind: 'content-type-wrong', expected }
  if (!['', 'identity', 'gzip', 'x-gzip'].includes(contentEncoding(request)))
    return { kind: 'content-encoding-unknown' }
  return undefined
}

/** Whether a body is compressed; then its first bytes say nothing about Git. */
export function isGzip(request: IncomingMessage): boolean {
  return ['gzip', 'x-gzip'].includes(contentEncoding(request))
}

function lengthOf(request: IncomingMessage): number | undefined {
  const length = request.headers['content-length']
  return length === undefined ? undefined : Number(length)
}

function preferencesOf(headers: IncomingHttpHeaders): ClientPreferences {
  return {
    ...(headers.accept === undefined ? {} : { accept: headers.accept }),
    ...(headers['accept-encoding'] === undefined ? {} : { acceptEncoding: headers['accept-encoding'] }),
    ...(headers['accept-language'] === undefined ? {} : { acceptLanguage: headers['accept-language'] }),
    ...(headers['user-agent'] === undefined ? {} : { userAgent: headers['user-agent'] }),
  }
}

function contentEncoding(request: IncomingMessage): string {
  return (request.headers['content-encoding'] ?? '').trim().toLowerCase()
}

function acceptsGzip(request: IncomingMessage): boolean {
  const accepted = (request.headers['accept-encoding'] ?? '').toLowerCase()
  return accepted.split(',').some((entry) => {
    const [coding, ...parameters] = entry.split(';').map((part) => part.trim())
    return (coding === 'gzip' || coding === 'x-gzip') && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}

function gitProtocolOf(request: IncomingMessage): string | undefined {
  const header = request.headers['git-protocol']
  return typeof header === 'string' && GIT_PROTOCOL.test(header) ? header : undefined
}
