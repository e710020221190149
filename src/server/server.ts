import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { addressMatcher, plainAddress } from '../core/address-list.js'
import { hasSystemCode } from '../core/errors.js'
import type { Handler, RequestContext, RequestRecord, Traffic } from '../core/http.js'
import { hasTooManyParameters, MAX_PARAMETERS, millisecondsSince, sendText, sendTextUnread } from '../core/http.js'
import { Connections, takeTurn } from './connections.js'
import type { TlsOptions } from './listener.js'
import type { Logger } from './log.js'

/** A row of the route table. The first row that claims a path handles the request. */
export type Route = { readonly claims: (path: string) => boolean; readonly handle: Handler }

/** What the HTTP server depends on. */
export type ServerOptions = {
  readonly routes: readonly Route[]
  readonly log: Logger
  /** Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  readonly trustedProxies: readonly string[]
  /** Milliseconds without traffic after which a connection is cut. A transfer may take as long as bytes flow. */
  readonly idleTimeout: number
  /** Milliseconds for the headers of a request, and again for its body until it is authenticated. */
  readonly requestTimeout: number
  /** Connections from one address. Trusted proxies, which forward everybody, have no limit. */
  readonly connectionsPerAddress: number
  /** `undefined`: plain HTTP. */
  readonly tls: TlsOptions | undefined
}

// Longer than the 60 s for which proxies keep idle connections, or they would send requests on a closed one.
const KEEP_ALIVE_TIMEOUT_MS = 75_000
// How often Node checks for late requests.
const TIMEOUT_POLL_MS = 2_000
// How long a client has to read why it was refused before the gate closes the connection.
const LINGER_MS = 2_000
// Node's own bound is 16 KiB; a token of 40 characters needs far less.
const MAX_HEADER_BYTES = 32_768

/** Creates the HTTP or HTTPS server. It doesn't listen yet. */
export function createServer(options: ServerOptions): { server: Server | HttpsServer; connections: Connections } {
  const limits = {
    // A complete request may take any time: a slow push is still a push.
    requestTimeout: 0,
    headersTimeout: options.requestTimeout,
    connectionsCheckingInterval: Math.min(TIMEOUT_POLL_MS, options.requestTimeout),
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    noDelay: true,
  }
  const server = options.tls === undefined ? createHttpServer(limits) : createHttpsServer({ ...limits, ...options.tls })
  server.timeout = options.idleTimeout
  const isTrusted = addressMatcher(options.trustedProxies)
  const warnOfProxy = untrustedProxyWarning(options.log, isTrusted)
  const connections = new Connections(
    server,
    { perAddress: options.connectionsPerAddress, isExempt: isTrusted },
    (ip, reason) => options.log.info({ ip, reason }, 'connection closed'),
  )
  const listener =
    (expectsContinue: boolean): RequestListener =>
    (request, response) => {
      warnOfProxy(request)
      void answer(request, response, expectsContinue, isTrusted, connections, options)
    }
  server.on('request', listener(false))
  server.on('checkContinue', listener(true))
  server.on('clientError', (error: Error, socket: Socket) => {
    const status = answerUnparsed(error, socket)
    options.log.info(
      { ip: socket.remoteAddress, status, reason: 'code' in error ? error.code : error.name },
      'no request',
    )
  })
  server.on('connect', (_request, socket: Duplex) => endWith(socket, 405, 'This is not a proxy.'))
  return { server, connections }
}

/** The traffic of a connection when its previous request ended. */
const trafficBefore = new WeakMap<Socket, { readonly read: number; readonly written: number }>()

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
  isTrusted: IsTrusted,
  connections: Connections,
  options: ServerOptions,
): Promise<void> {
  const { socket } = request
  if (!(await takeTurn(request, response))) return
  const started = performance.now()
  const before = trafficBefore.get(socket) ?? { read: 0, written: 0 }
  const requestId = randomUUID()
  const ip = clientAddress(socket.remoteAddress ?? '', headerOf(request, 'x-forwarded-for'), isTrusted)
  const record: RequestRecord = {}
  const traffic = (): Traffic => ({
    bytesIn: socket.bytesRead - before.read,
    bytesOut: socket.bytesWritten - before.written,
  })
  const listeners: (() => void)[] = []
  // Authenticated Git requests have no deadline while bytes flow: a slow push is still a push. Only others have a route.
  const endLateBody = (): void => {
    if (request.complete || (record.user !== undefined && record.route === undefined)) return
    record.decision = 'refused'
    record.rule = 'body too late'
    if (response.headersSent) socket.destroy()
    else endWith(socket, 408, LATE_TEXT)
    socket.once('finish', () => socket.destroy())
  }
  const ended = connections.begin(socket, () => request.complete || record.user !== undefined)
  const deadline = request.complete ? undefined : setTimeout(endLateBody, options.requestTimeout)
  response.setHeader('X-Request-Id', requestId)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.on('close', () => {
    if (!response.writableFinished && record.decision === undefined) record.decision = 'aborted'
    const { bytesIn, bytesOut } = traffic()
    trafficBefore.set(socket, { read: socket.bytesRead, written: socket.bytesWritten })
    ended()
    clearTimeout(deadline)
    for (const listener of listeners) listener()
    const level = record.decision === 'failed' ? 'warn' : 'info'
    options.log[level]({
      request_id: requestId,
      ip,
      method: request.method,
      status: response.headersSent ? response.statusCode : 0,
      ...record,
      bytes_in: bytesIn,
      bytes_out: bytesOut,
      duration_ms: millisecondsSince(started),
    })
  })
  const target = originForm(request.url ?? '/')
  if (target === undefined) {
    sendTextUnread(request, response, 400, 'The request target is not a path.')
    return
  }
  const path = target.split('?', 1)[0] ?? ''
  if (hasTooManyParameters(target.slice(path.length))) {
    record.decision = 'refused'
    record.rule = 'too many parameters'
    sendTextUnread(request, response, 400, `A query has ${MAX_PARAMETERS} parameters at most.`)
    return
  }
  const reset = (): void => connections.reset(socket)
  const onEnd = (listener: () => void): void => void listeners.push(listener)
  const context: RequestContext = {
    request,
    response,
    target,
    requestId,
    ip,
    isHttps: isHttps(socket, headerOf(request, 'x-forwarded-proto'), isTrusted),
    expectsContinue,
    record,
    traffic,
    onEnd,
    reset,
  }
  try {
    const route = options.routes.find(({ claims }) => claims(path))
    if (route === undefined) {
      sendText(response, 404, 'Not Found')
      return
    }
    await route.handle(context)
  } catch (error) {
    record.decision = 'failed'
    options.log.error({ request_id: requestId, err: error }, 'request failed')
    if (response.headersSent) response.destroy()
    else
      sendTextUnread(
        request,
        response,
        500,
        `Something went wrong in gitgate. Its log has the reason under the request id ${requestId}.`,
      )
  }
}

/**
 * The path and query of a request target. The absolute form is accepted, as RFC 9112 (3.2.2) requires; its authority is ignored,
 * like `Host`, because this server has one name.
 */
function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return target
  const match = /^https?:\/\/[^/?#]*(\/[^#]*)?$/i.exec(target)
  return match === null ? undefined : (match[1] ?? '/')
}

/** Answers a request that Node's parser rejected, so that the client can read why. @returns the status */
function answerUnparsed(error: Error, socket: Socket): number {
  // The client is gone: nothing is sent.
  if (!socket.writable || hasSystemCode(error, 'ECONNRESET', 'EPIPE', 'ETIMEDOUT')) {
    socket.destroy()
    return 0
  }
  const [status, text] = hasSystemCode(error, 'HPE_HEADER_OVERFLOW')
    ? [431, `The headers of a request hold ${MAX_HEADER_BYTES} bytes at most.`]
    : hasSystemCode(error, 'ERR_HTTP_REQUEST_TIMEOUT')
      ? [408, LATE_TEXT]
      : [400, 'This is not a well-formed HTTP request.']
  endWith(socket, status, text)
  return status
}

const LATE_TEXT = 'The request did not arrive in time.'

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

function endWith(socket: Duplex, status: number, text: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const head = `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\nContent-Type: text/plain; charset=utf-8\r\n`
  socket.on('error', () => socket.destroy())
  // A client that never closes its side would keep the connection open.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.end(`${head}Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`)
}

/** Whether an address is a trusted proxy's. */
type IsTrusted = (address: string) => boolean

const PRIVATE_NETWORKS = ['127.0.0.0/8', '::1', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']
const MAX_WARNINGS = 20

/**
 * Warns of what looks like a proxy that isn't trusted: all clients behind it have one address, and share its limits and bans.
 *
 * @returns what looks at a request; it warns once for each address
 */
function untrustedProxyWarning(log: Logger, isTrusted: IsTrusted): (request: IncomingMessage) => void {
  const isPrivate = addressMatcher(PRIVATE_NETWORKS)
  const warned = new Set<string>()
  return ({ headers, socket }) => {
    if (headers['x-forwarded-for'] === undefined) return
    const ip = plainAddress(socket.remoteAddress ?? '')
    if (warned.has(ip) || warned.size >= MAX_WARNINGS || isTrusted(ip) || !isPrivate(ip)) return
    warned.add(ip)
    log.warn({ ip }, 'X-Forwarded-For is ignored: if this is your proxy, add its address to GITGATE_TRUSTED_PROXIES')
  }
}

/** A header that is sent once, or several times to be read as one list (RFC 9110, 5.3). */
function headerOf({ headers }: IncomingMessage, name: string): string {
  return [headers[name]].flat().join(',')
}

/**
 * The client's address: the socket's, or if that is a trusted proxy, the last one in `X-Forwarded-For` that isn't. Earlier ones
 * are ignored, because the client can write anything there.
 */
export function clientAddress(socketAddress: string, forwardedFor: string, isTrusted: IsTrusted): string {
  let address = plainAddress(socketAddress)
  const hops = forwardedFor.split(',').map((hop) => hop.trim())
  while (isTrusted(address)) {
    const hop = hops.pop()
    const next = hop === undefined ? undefined : hopAddress(hop)
    if (next === undefined) return address
    address = next
  }
  return address
}

/**
 * Whether a client uses HTTPS: with the gate itself, or with a trusted proxy, by the last value in `X-Forwarded-Proto`, which is
 * the proxy's own.
 */
function isHttps(socket: Socket, forwardedProto: string, isTrusted: IsTrusted): boolean {
  const isEncrypted = 'encrypted' in socket && socket.encrypted === true
  const isForwarded = forwardedProto.split(',').at(-1)?.trim().toLowerCase() === 'https'
  return isEncrypted || (isForwarded && isTrusted(plainAddress(socket.remoteAddress ?? '')))
}

/** The address of a hop in its canonical form, without the port that some proxies add. */
function hopAddress(hop: string): string | undefined {
  const [, v6, v4] = /^\[(.+)\](?::\d+)?$|^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop) ?? []
  const address = plainAddress(v6 ?? v4 ?? hop)
  switch (isIP(address)) {
    case 4:
      return address
    case 6:
      // `2001:0db8::0:1` and `2001:db8::1` are one address, and must count as one.
      return address.includes('%') ? address : new URL(`http://[${address}]`).hostname.slice(1, -1)
    default:
      return undefined
  }
}
