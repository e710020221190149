import type { IncomingMessage, ServerResponse } from 'node:http'

/** What the log says about a request; each part adds what it knows. */
export type RequestRecord = {
  user?: string
  token_id?: number
  /** The administrator who acts as the user. */
  sudoer?: string
  /** Which call of the API. */
  route?: string
  repository?: string
  service?: string
  phase?: string
  /** How many refs a push names, and how many of them were refused. */
  refs?: number
  refused_refs?: number
  /** What the response cache did. */
  cache?: 'hit' | 'coalesced' | 'miss' | 'bypass'
  decision?: 'served' | 'refused' | 'failed' | 'aborted' | 'revoked'
  rule?: string
  reason?: string
  auth_ms?: number
  backend_ms?: number
}

/** Bytes on the wire, with heads and, over TLS, encrypted. */
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
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** What the log will say. */
  readonly record: RequestRecord
  /** What has gone over the connection for this request so far. */
  readonly traffic: () => Traffic
  /** Has a listener called once the exchange is over, however it ended. */
  readonly onEnd: (listener: () => void) => void
  /**
   * Resets the connection: what the kernel has not sent yet is dropped. After an ordinary close it would still deliver
   * megabytes to a slow reader (measured).
   */
  readonly reset: () => void
}

/** Bytes of a body that is read before anybody is authenticated, because it may hold the credential. */
export const MAX_CREDENTIAL_BODY = 16_384

/** Answers every request that is routed to it. */
export type Handler = (context: RequestContext) => Promise<void> | void

/** Milliseconds since an instant of `performance.now()`, to the microsecond. */
export function millisecondsSince(started: number): number {
  return Math.round((performance.now() - started) * 1_000) / 1_000
}

/** Sends a short text and nothing else. */
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

// A refused push is still being sent: some clients read the answer only when they are done.
const DRAINED_BYTES = 8 * 1_048_576
const DRAINED_FOR = 5_000

/**
 * Sends a short text to a request whose body may not have been read, and ends the connection: the rest of the body is
 * dropped within bounds, so that the client gets to read the answer.
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

/** Drops the rest of a body that nobody reads, within bounds; beyond them the connection ends. */
export function dropBody(request: IncomingMessage): void {
  if (request.complete) return
  let dropped = 0
  const timer = setTimeout(() => request.destroy(), DRAINED_FOR)
  request.on('close', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length
    if (dropped > DRAINED_BYTES) request.destroy()
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
