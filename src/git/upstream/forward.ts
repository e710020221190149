import { EventEmitter } from 'node:events'
import type { Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import httpProxy from 'http-proxy'

/** A request to an upstream. */
export type Forwarding = {
  readonly method: 'GET' | 'POST'
  /** Path and query below the upstream's URL, built from the parsed request. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readable
  readonly agent: Agent
}

/** What becomes of it. */
export type ForwardEvents = {
  /** The head of the answer is there; its body is the caller's to read. */
  readonly onAnswer: (answer: IncomingMessage) => void
  /** The upstream can't be reached, or died, or answered nonsense. May come after the answer, or more than once. */
  readonly onError: (error: Error, wasReused: boolean) => void
}

/** Sends one request. @returns what ends it at once, with its connection */
export type Forward = (forwarding: Forwarding, events: ForwardEvents) => () => void

/** Where requests go. */
export type Target = { readonly url: URL; readonly ca: Buffer | undefined }

/**
 * Forwards with http-proxy, which is handed a request made anew rather than the client's, and never the client's response:
 * it would hang that when the upstream dies, and let the upstream run on when the client leaves. Both are ours to tie.
 */
export function createForward({ url, ca }: Target): Forward {
  const proxy = httpProxy.createProxyServer({
    // As text: of a URL object http-proxy overlooks the path.
    target: url.href,
    changeOrigin: true,
    selfHandleResponse: true,
    // Certificates are checked, against the CA that was given or the system's.
    secure: true,
  })
  proxy.on('proxyReq', (outgoing, request) => (request as unknown as OutgoingRequest).sent(outgoing))
  proxy.on('proxyRes', (answer, request) => (request as unknown as OutgoingRequest).answered(answer))
  // An abort of ours comes back as this; there is nobody left to tell.
  proxy.on('econnreset', () => undefined)

  return ({ method, path, headers, body, agent }, { onAnswer, onError }) => {
    const fail = (error: Error): void => onError(error, request.wasReused)
    const request: OutgoingRequest = new OutgoingRequest(method, path, headers, onAnswer, fail)
    const answerStub = { headersSent: false, finished: false }
    const options = {
      buffer: body,
      agent,
      ...(ca === undefined ? {} : { ca }),
    } as httpProxy.ServerOptions
    proxy.web(request as unknown as IncomingMessage, answerStub as unknown as ServerResponse, options, fail)
    return () => request.emit('aborted')
  }
}

/** What http-proxy reads of a request: no more of it than this exists. */
class OutgoingRequest extends EventEmitter {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly httpVersion = '1.1'
  readonly socket = { destroyed: false }
  readonly #onAnswer: (answer: IncomingMessage) => void
  readonly #onError: (error: Error) => void
  #outgoing: ClientRequest | undefined

  constructor(
    method: string,
    url: string,
    headers: Readonly<Record<string, string>>,
    onAnswer: (answer: IncomingMessage) => void,
    onError: (error: Error) => void,
  ) {
    super()
    this.method = method
    this.url = url
    this.headers = headers
    this.#onAnswer = onAnswer
    this.#onError = onError
  }

  /** Whether it went over a connection that another request had used before. */
  get wasReused(): boolean {
    return this.#outgoing?.reusedSocket === true
  }

  sent(outgoing: ClientRequest): void {
    this.#outgoing = outgoing
    let isAnswered = false
    outgoing.on('response', () => (isAnswered = true))
    // An answer 101 is neither an answer nor an error to Node: it ends the connection without a word.
    outgoing.on('close', () => {
      if (!isAnswered) this.#onError(new Error('the upstream ended the connection without an answer'))
    })
  }

  answered(answer: IncomingMessage): void {
    this.#onAnswer(answer)
  }
}
