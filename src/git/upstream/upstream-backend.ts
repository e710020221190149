import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { hasSystemCode, messageOf } from '../../core/errors.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  ResponseHead,
  ResponseWriter,
  ServeOutcome,
} from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import { encodeRepositoryPath } from '../../protocol/repository-path.js'
import type { Forward, ForwardedRequest } from './forward.js'
import type { GateIdentity } from './headers.js'
import { classifyResponse, requestHeaders } from './headers.js'

/** What the upstream backend needs. */
export type UpstreamOptions = {
  readonly forward: Forward
  readonly gate: GateIdentity
  /** Milliseconds from the end of the request to the head of the response; the body may take hours. */
  readonly headersTimeout: number
}

/** A Git server elsewhere, any that speaks smart HTTP. Only it knows whether a repository exists. */
export function upstream(options: UpstreamOptions): Backend {
  const post: BackendMethod = async (request, response) => {
    const outcome = await forwardOver('fresh', request, response, options)
    return outcome === 'stale-connection' ? { kind: 'failed', reason: 'connection closed', fault: 'backend' } : outcome
  }
  return {
    find: () => Promise.resolve('unknown'),

    names: 'upstream',

    checksFastForward: false,

    async advertise(request, response) {
      const outcome = await forwardOver('reused', request, response, options)
      return outcome === 'stale-connection' ? await post(request, response) : outcome
    },

    uploadPack: post,

    receivePack: post,
  }
}

/** @returns `stale-connection` if the upstream closed the idle connection just when the request was sent over it */
async function forwardOver(
  connection: ForwardedRequest['connection'],
  request: BackendRequest,
  response: ResponseWriter,
  { forward, headersTimeout, gate }: UpstreamOptions,
): Promise<ServeOutcome | 'stale-connection'> {
  const isAdvertisement = request.phase === 'advertisement'
  const body = isAdvertisement ? Readable.from([]) : request.body
  const forwarded: ForwardedRequest = {
    method: isAdvertisement ? 'GET' : 'POST',
    path: pathOf(request),
    headers: requestHeaders(request, gate),
    body,
    connection,
  }
  return await new Promise((resolve) => {
    let upstreamResponse: IncomingMessage | undefined
    let breakOff: ((reason: string) => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const finish = (outcome: ServeOutcome | 'stale-connection'): void => {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', left)
      body.off('end', startTimer)
      resolve(outcome)
    }
    const fail = (reason: string, fault: 'backend' | 'silence'): void => finish({ kind: 'failed', reason, fault })

    const end = forward(forwarded, {
      onResponse(head) {
        upstreamResponse = head
        clearTimeout(timer)
        const classified = classifyResponse(head.statusCode ?? 0, head.headers, request)
        if (classified.kind === 'git') {
          breakOff = passOn(head, request.signal, response, end, finish)
          return
        }
        end()
        if (classified.kind === 'missing') finish({ kind: 'missing' })
        else fail(`the upstream responded with ${classified.reason}`, 'backend')
      },
      onError(error, wasReused) {
        // The rest of the client's body is read and dropped, so that the client gets to the response.
        drain(body)
        if (upstreamResponse !== undefined) {
          // A response that ends with its connection would look complete to the client.
          if (!upstreamResponse.complete) breakOff?.(messageOf(error))
          return
        }
        const isStale = wasReused && isAdvertisement && hasSystemCode(error, 'ECONNRESET', 'EPIPE')
        if (isStale) finish('stale-connection')
        else fail(messageOf(error), 'backend')
      },
    })
    const left = (): void => {
      end()
      finish({ kind: 'broken', reason: 'the client left' })
    }
    const startTimer = (): void => {
      timer = setTimeout(() => {
        end()
        fail(`no response within ${headersTimeout} ms`, 'silence')
      }, headersTimeout)
    }
    if (request.signal.aborted) return left()
    request.signal.addEventListener('abort', left, { once: true })
    // While a push is being sent, no response is due. The idle timeout handles clients that stop sending.
    if (isAdvertisement || body.readableEnded) startTimer()
    else body.once('end', startTimer)
  })
}

/** Streams a response to the client: complete, or visibly broken. @returns what breaks it off */
function passOn(
  upstreamResponse: IncomingMessage,
  signal: AbortSignal,
  response: ResponseWriter,
  end: () => void,
  finish: (outcome: ServeOutcome) => void,
): (reason: string) => void {
  const client = response.begin(headOf(upstreamResponse))
  const broken = (reason: string): void => {
    end()
    finish({ kind: 'broken', reason })
  }
  upstreamResponse.on('error', (error) => broken(messageOf(error)))
  upstreamResponse.on('aborted', () => broken('the upstream closed the connection early'))
  upstreamResponse.on('end', () => {
    if (upstreamResponse.complete) finish({ kind: 'answered' })
    else broken('the upstream closed the connection early')
  })
  signal.addEventListener('abort', () => broken('the client left'), { once: true })
  upstreamResponse.pipe(client, { end: false })
  return broken
}

function headOf({ headers }: IncomingMessage): ResponseHead {
  const length = Number(headers['content-length'])
  return {
    ...(headers['content-encoding'] === undefined ? {} : { contentEncoding: headers['content-encoding'] }),
    ...(Number.isSafeInteger(length) ? { contentLength: length } : {}),
    // A header that allows shared caches to store the response would publish a private repository.
    ...(/no-store|no-cache|private/.test(headers['cache-control'] ?? '')
      ? { cacheControl: headers['cache-control'] ?? '' }
      : {}),
  }
}

/** Built from the parsed request, so that what is authorised is what is forwarded. */
function pathOf({ repository, service, phase }: GitRequest): string {
  const path = `/${encodeRepositoryPath(repository)}.git`
  return phase === 'advertisement' ? `${path}/info/refs?service=${service}` : `${path}/${service}`
}

function drain(body: Readable): void {
  body.unpipe()
  body.resume()
}
