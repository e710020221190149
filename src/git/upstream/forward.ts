import { EventEmitter } from 'node:events'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import httpProxy from 'http-proxy'

/** The upstream server, and what TLS towards it needs. */
export type UpstreamTarget = {
  readonly url: URL
  readonly tls: {
    /** The certificates that it is trusted by. @default the system's */
    readonly ca?: Buffer
    /** The gate's client certificate and its key. */
    readonly cert?: Buffer
    readonly key?: Buffer
  }
}

/** A request to the upstream. */
export type ForwardedRequest = {
  readonly method: 'GET' | 'POST'
  /** Path and query below the upstream's URL, built from the parsed request. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readable
  /**
   * `reused`: a kept-alive connection, for a request without a body, which can be sent again if the connection is stale. `fresh`: a
   * connection that no request has used before, for a body, which can't be sent twice.
   */
  readonly connection: 'reused' | 'fresh'
}

export type ForwardEvents = {
  /** The head of the response has arrived; the receiver reads the body. */
  readonly onResponse: (response: IncomingMessage) => void
  /** The upstream can't be reached, has died, or sent no HTTP. May come after the response, or more than once. */
  readonly onError: (error: Error, wasReused: boolean) => void
}

/** Sends one request. @returns a function that ends it immediately, with its connection */
export type Forward = (request: ForwardedRequest, events: ForwardEvents) => () => void

/** Forwards requests to one upstream. */
export type Forwarder = {
  readonly forward: Forward
  /** Uses other certificates for new connections. */
  readonly renewTls: (target: UpstreamTarget) => void
  readonly close: () => void
}

// Idle connections only. Admission limits how many requests run at once.
const MAX_IDLE_CONNECTIONS = 32

/**
 * Forwards requests by http-proxy. It gets a new request object instead of the client's, and never the client's response: with
 * those, it leaves the client hanging when the upstream dies, and lets the upstream run on when the client leaves. The caller ties
 * the two ends together.
 */
export function createForward({ url, tls }: UpstreamTarget): Forwarder {
  const proxy = httpProxy.createProxyServer({
    // A string, because http-proxy ignores the path of a URL object.
    target: url.href,
    changeOrigin: true,
    selfHandleResponse: true,
    // The upstream's certificate is verified.
    secure: true,
  })
  proxy.on('proxyReq', (outgoing, request) => (request as unknown as OutgoingRequest).onSent(outgoing))
  proxy.on('proxyRes', (response, request) => (request as unknown as OutgoingRequest).events.onResponse(response))
  // The consequence of an abort of ours.
  proxy.on('econnreset', () => undefined)

  let agents = createAgents(url, tls)
  return {
    forward({ method, path, headers, body, connection }, events) {
      const request = new OutgoingRequest(method, path, headers, events)
      const responseStub = { headersSent: false, finished: false }
      const options = { buffer: body, agent: agents[connection] } as httpProxy.ServerOptions
      proxy.web(request as unknown as IncomingMessage, responseStub as unknown as ServerResponse, options, (error) =>
        request.fail(error),
      )
      return () => request.emit('aborted')
    },
    renewTls({ tls }) {
      const { reused } = agents
      agents = createAgents(url, tls)
      // Requests in progress keep their connections.
      reused.keepSocketAlive = () => false
      for (const socket of Object.values(reused.freeSockets).flat()) socket?.destroy()
    },
    close() {
      agents.reused.destroy()
      agents.fresh.destroy()
    },
  }
}

function createAgents(url: URL, tls: UpstreamTarget['tls']): Record<ForwardedRequest['connection'], HttpAgent> {
  const createAgent = (): HttpAgent => {
    // Without keep-alive, http-proxy closes each connection and loses an early response to a push.
    const options = { keepAlive: true, maxFreeSockets: MAX_IDLE_CONNECTIONS }
    return url.protocol === 'https:' ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options)
  }
  const fresh = createAgent()
  fresh.keepSocketAlive = () => false
  return { reused: createAgent(), fresh }
}

/** The properties of a request that http-proxy reads, and no others. */
class OutgoingRequest extends EventEmitter {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly httpVersion = '1.1'
  readonly socket = { destroyed: false }
  readonly events: ForwardEvents
  #outgoing: ClientRequest | undefined

  constructor(method: string, url: string, headers: Readonly<Record<string, string>>, events: ForwardEvents) {
    super()
    this.method = method
    this.url = url
    this.headers = headers
    this.events = events
  }

  onSent(outgoing: ClientRequest): void {
    this.#outgoing = outgoing
    let hasResponse = false
    outgoing.on('response', () => (hasResponse = true))
    // After a response of 101, Node closes the connection and emits neither a response nor an error.
    outgoing.on('close', () => {
      if (!hasResponse) this.fail(new Error('the upstream closed the connection without a response'))
    })
  }

  fail(error: Error): void {
    this.events.onError(error, this.#outgoing?.reusedSocket === true)
  }
}
