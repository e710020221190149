import type { IncomingMessage } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import type { Refusal } from '../access/refusal.js'
import type { HttpExchange } from '../http.js'
import type { Exchange } from '../protocol/backend.js'
import type { GitRequest } from '../protocol/git-request.js'

// `version=2`, perhaps with other keys after a colon (Git's documentation: protocol-v2, GIT_PROTOCOL).
const GIT_PROTOCOL = /^[a-z0-9.=:_-]{1,255}$/i
// Advertisements are mostly hexadecimal: the cheapest level halves them, and dearer ones gain little.
const GZIP_LEVEL = 1

/** The exchange that a backend is given, and what the front does with it afterwards. */
export type OpenExchange = {
  readonly git: Exchange
  /** Ends an answer that was begun. */
  readonly end: () => void
  /** Whether the request's body could not be read to its end. */
  readonly bodyFailed: () => boolean
}

/** Makes an HTTP exchange into one of Git's. */
export function openExchange(
  { request, response }: HttpExchange,
  gitRequest: GitRequest,
  requester: Exchange['requester'],
): OpenExchange {
  const client = new AbortController()
  response.on('close', () => {
    if (!response.writableFinished) client.abort()
  })
  let bodyFailed = false
  const body = decodedBody(request)
  body.on('error', () => (bodyFailed = true))

  let answer: Writable | undefined
  const begin = (): Writable => {
    const compressed = gitRequest.phase === 'advertisement' && acceptsGzip(request)
    response.writeHead(200, {
      'Content-Type': `application/x-${gitRequest.service}-${gitRequest.phase === 'advertisement' ? 'advertisement' : 'result'}`,
      'Cache-Control': 'no-cache',
      ...(gitRequest.phase === 'advertisement' ? { Vary: 'Accept-Encoding' } : {}),
      ...(compressed ? { 'Content-Encoding': 'gzip' } : {}),
    })
    answer = response
    if (compressed) {
      const gzip = createGzip({ level: GZIP_LEVEL })
      gzip.pipe(response)
      answer = gzip
    }
    return answer
  }
  return {
    git: { body, gitProtocol: gitProtocolOf(request), requester, signal: client.signal, begin },
    end: () => answer?.end(),
    bodyFailed: () => bodyFailed,
  }
}

/** What is wrong with the headers of an exchange's body, if anything. */
export function requestContentError(request: IncomingMessage, { service }: GitRequest): Refusal | undefined {
  const expected = `application/x-${service}-request`
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type !== expected) return { kind: 'content-type-wrong', expected }
  if (!['', 'identity', 'gzip', 'x-gzip'].includes(contentEncoding(request)))
    return { kind: 'content-encoding-unknown' }
  return undefined
}

/**
 * The first bytes of a stream, which keeps them for the next reader.
 *
 * @returns fewer bytes than asked for when the stream is that short; `undefined` when it failed
 */
export async function peek(stream: Readable, count: number): Promise<Buffer | undefined> {
  return await new Promise((resolve) => {
    const finish = (start: Buffer | undefined): void => {
      stream.off('readable', look).off('end', ended).off('error', failed).off('close', failed)
      resolve(start)
    }
    const failed = (): void => finish(undefined)
    const ended = (): void => finish(Buffer.alloc(0))
    const look = (): void => {
      // Once the stream has ended, read gives what there is, even if it is less.
      const start = stream.read(count) as Buffer | null
      if (start === null) return
      stream.unshift(start)
      finish(start)
    }
    stream.on('readable', look).on('end', ended).on('error', failed).on('close', failed)
  })
}

function decodedBody(request: IncomingMessage): Readable {
  if (!['gzip', 'x-gzip'].includes(contentEncoding(request))) return request
  const gunzip = createGunzip()
  // A client that leaves must fail the decoder, too, or its reader would wait for ever.
  request.on('error', (error) => gunzip.destroy(error))
  request.on('aborted', () => gunzip.destroy(new Error('the client left')))
  return request.pipe(gunzip)
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
