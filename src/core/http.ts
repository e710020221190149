import type { IncomingMessage, ServerResponse } from 'node:http'

/** The fields of a request's log line; each layer adds what it knows. */
export type RequestRecord = {
  user?: string
  token_id?: number
  /** The administrator who acts as the user with `sudo` or an impersonation token. */
  sudoer?: string
  /** The route of an API call. */
  route?: string
  repository?: string
  service?: string
  phase?: string
  /** The number of refs in a push, and of those refused. */
  refs?: number
  refused_refs?: number
  /** The result of the response cache. */
  cache?: 'hit' | 'coalesced' | 'miss' | 'bypass'
  decision?: 'served' | 'refused' | 'failed' | 'aborted' | 'revoked'
  rule?: string
  reason?: string
  auth_ms?: number
  backend_ms?: number
}

/** Bytes on the wire, including headers and, over TLS, encryption. */
export type Traffic = { readonly bytesIn: number; readonly bytesOut: number }

/** One HTTP request on its way through the gate. */
export type RequestContext = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Path and query, in origin form. */
  readonly target: string
  readonly requestId: string
  /** The client's address: the socket's, or what a trusted proxy says. */
  readonly ip: string
  /** Whether the client reached the gate over HTTPS: by the gate's own TLS, or as a trusted proxy says. */
  readonly isHttps: boolean
  /** Whether the client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** The fields of the log line. */
  readonly record: RequestRecord
  /** Bytes transferred for this request so far. */
  readonly traffic: () => Traffic
  /** Calls a listener once the request has ended, however it ended. */
  readonly onEnd: (listener: () => void) => void
  /**
   * Resets the connection, which drops what the kernel has not sent yet. After an ordinary close the kernel still delivers
   * megabytes to a slow reader (measured).
   */
  readonly reset: () => void
}

/** Maximum size of a body that is read before authentication because it may contain the credential, in bytes. */
export const MAX_CREDENTIAL_BODY = 16_384

/** Responds to the requests of its routes. */
export type Handler = (context: RequestContext) => Promise<void> | void

/** Milliseconds since a value of `performance.now()`, rounded to microseconds. */
export function millisecondsSince(started: number): number {
  return Math.round((performance.now() - started) * 1_000) / 1_000
}

/** Sends a short text as the response. */
export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(text)
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(body.length),
    'Cache-Control': 'no-store',
    ...headers,
  })
  response.end(body)
}

// Some clients read the response to a refused push only after they have sent all of it.
const MAX_DRAINED_BYTES = 8 * 1_048_576
const DRAIN_TIMEOUT_MS = 5_000

/**
 * Sends a short text as the response to a request whose body may not have been read, then ends the connection. It drops
 * the rest of the body, within bounds, so that the client gets to read the response.
 */
export function sendTextUnread(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  if (request.complete) return sendText(response, status, text, headers)
  dropBody(request)
  sendText(response, status, text, { ...headers, Connection: 'close' })
}

/** Drops the rest of an unread body. Beyond the bounds it ends the connection. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  let dropped = 0
  const timer = setTimeout(() => request.destroy(), DRAIN_TIMEOUT_MS)
  request.on('close', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length
    if (dropped > MAX_DRAINED_BYTES) request.destroy()
  })
}

/** Parameters in a query or a form. Rack, under GitLab, stops at 4,096; no form of ours has more than some dozens. */
export const MAX_PARAMETERS = 1_000

/** Whether a query or a form has more than {@link MAX_PARAMETERS}. Counts separators, so it runs before any parsing. */
export function hasTooManyParameters(text: string): boolean {
  let count = 1
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) {
    count += 1
    if (count > MAX_PARAMETERS) return true
  }
  return false
}
