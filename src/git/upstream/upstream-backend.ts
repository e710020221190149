import type { Agent, IncomingMessage } from 'node:http'
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
import type { Connections } from './upstream-connections.js'
import type { Forward, Forwarding } from './forward.js'
import type { Introduction } from './headers.js'
import { judgeAnswer, requestHeaders } from './headers.js'

/** What the upstream backend is made of. */
export type UpstreamOptions = {
  readonly forward: Forward
  readonly connections: Connections
  readonly introduction: Introduction
  /** Milliseconds from the end of the request to the head of the answer; the body may take hours. */
  readonly headersTimeout: number
}

/** A Git server elsewhere, any that speaks smart HTTP. Only it knows whether a repository exists. */
export function upstream(options: UpstreamOptions): Backend {
  const { reused, fresh } = options.connections
  const post: BackendMethod = async (request, response) => {
    const outcome = await forwardOver(fresh, request, response, options)
    return outcome === 'stale-connection' ? { kind: 'failed', reason: 'connection closed', fault: 'backend' } : outcome
  }
  return {
    find: () => Promise.resolve('unknown'),

    checksFastForward: false,

    async advertise(request, response) {
      const outcome = await forwardOver(reused, request, response, options)
      return outcome === 'stale-connection' ? await post(request, response) : outcome
    },

    uploadPack: post,

    receivePack: post,
  }
}

/** `stale-connection`: the upstream had closed an idle connection just when a request without a body went over it. */
async function forwardOver(
  agent: Agent,
  request: BackendRequest,
  response: ResponseWriter,
  { forward, headersTimeout, introduction }: UpstreamOptions,
): Promise<ServeOutcome | 'stale-connection'> {
  const isAdvertisement = request.phase === 'advertisement'
  const body = isAdvertisement ? Readable.from([]) : request.body
  const forwarding: Forwarding = {
    method: isAdvertisement ? 'GET' : 'POST',
    path: pathOf(request),
    headers: requestHeaders(request, introduction),
    body,
    agent,
  }
  return await new Promise((resolve) => {
    let answer: IncomingMessage | undefined
    let breakOff: ((reason: string) => void) | undefined
    let timer: NodeJS.Timeout | undefined
    const settle = (outcome: ServeOutcome | 'stale-connection'): void => {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', left)
      body.off('end', startTimer)
      resolve(outcome)
    }
    const fail = (reason: string, fault: 'backend' | 'silence'): void => settle({ kind: 'failed', reason, fault })

    const end = forward(forwarding, {
      onAnswer(head) {
        answer = head
        clearTimeout(timer)
        const judged = judgeAnswer(head.statusCode ?? 0, head.headers, request)
        if (judged.kind === 'git') {
          breakOff = passOn(head, request.signal, response, end, settle)
          return
        }
        end()
        if (judged.kind === 'missing') settle({ kind: 'missing' })
        else fail(`the upstream answered with ${judged.reason}`, 'backend')
      },
      onError(error, wasReused) {
        // What the client still sends is read and dropped, so that it gets to read the answer.
        drain(body)
        if (answer !== undefined) {
          // An answer that ends with its connection would look whole; one that came whole stays so.
          if (!answer.complete) breakOff?.(messageOf(error))
          return
        }
        const isStale = wasReused && isAdvertisement && hasSystemCode(error, 'ECONNRESET', 'EPIPE')
        if (isStale) settle('stale-connection')
        else fail(messageOf(error), 'backend')
      },
    })
    const left = (): void => {
      end()
      settle({ kind: 'broken', reason: 'the client left' })
    }
    const startTimer = (): void => {
      timer = setTimeout(() => {
        end()
        fail(`no answer within ${headersTimeout} ms`, 'silence')
      }, headersTimeout)
    }
    if (request.signal.aborted) return left()
    request.signal.addEventListener('abort', left, { once: true })
    // While a push is being sent, its answer can't be expected; an idle client is cut elsewhere.
    if (isAdvertisement || body.readableEnded) startTimer()
    else body.once('end', startTimer)
  })
}

/** Streams a response to the client: complete, or visibly broken. @returns what breaks it off */
function passOn(
  answer: IncomingMessage,
  signal: AbortSignal,
  response: ResponseWriter,
  end: () => void,
  settle: (outcome: ServeOutcome) => void,
): (reason: string) => void {
  const client = response.begin(headOf(answer))
  const broken = (reason: string): void => {
    end()
    settle({ kind: 'broken', reason })
  }
  answer.on('error', (error) => broken(messageOf(error)))
  answer.on('aborted', () => broken('the upstream broke off'))
  answer.on('end', () => {
    if (answer.complete) settle({ kind: 'answered' })
    else broken('the upstream broke off')
  })
  signal.addEventListener('abort', () => broken('the client left'), { once: true })
  answer.pipe(client, { end: false })
  return broken
}

function headOf({ headers }: IncomingMessage): ResponseHead {
  const length = Number(headers['content-length'])
  return {
    ...(headers['content-encoding'] === undefined ? {} : { contentEncoding: headers['content-encoding'] }),
    ...(Number.isSafeInteger(length) ? { contentLength: length } : {}),
    // One that lets others keep the answer would publish a private repository.
    ...(/no-store|no-cache|private/.test(headers['cache-control'] ?? '')
      ? { cacheControl: headers['cache-control'] ?? '' }
      : {}),
  }
}

/** Built from the parsed request, so that what is authorised is what is forwarded. */
function pathOf({ repository, service, phase }: GitRequest): string {
  return phase === 'advertisement' ? `/${repository}.git/info/refs?service=${service}` : `/${repository}.git/${service}`
}

function drain(body: Readable): void {
  body.unpipe()
  body.resume()
}
