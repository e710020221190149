import type { IncomingHttpHeaders } from 'node:http'
import type { BackendRequest } from '../../protocol/backend.js'
import { replaceUnprintable } from '../../core/printable.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { Secret } from '../../core/secret.js'

/** How the gate identifies itself to an upstream. */
export type GateIdentity = {
  /** The gate's credential: a complete `Authorization` header. The client's is never forwarded. */
  readonly authorization: Secret | undefined
  /** Where people reach the gate. */
  readonly publicUrl: () => string
  /** This gate's name in `Via`, by which it recognises a request that comes back to it (RFC 9110, 7.6.3). */
  readonly pseudonym: string
}

/**
 * The headers of a request to an upstream: an allow-list of the client's, and the gate's. So no other header of the client passes in
 * any spelling (CGI programs read `X_Forwarded_User` as `X-Forwarded-User`). And http-proxy has nothing to edit, which it leaves
 * undone if the client sends `Expect`.
 */
export function requestHeaders(request: BackendRequest, gate: GateIdentity): Record<string, string> {
  const { preferences, requester } = request
  const { protocol, host } = new URL(gate.publicUrl())
  const headers: Record<string, string | undefined> = {
    'git-protocol': request.gitProtocol,
    accept: preferences.accept,
    'accept-encoding': preferences.acceptEncoding,
    'accept-language': preferences.acceptLanguage,
    'user-agent': preferences.userAgent,
    authorization: gate.authorization?.reveal(),
    via: `1.1 ${gate.pseudonym}`,
    'x-forwarded-for': request.clientAddress,
    'x-forwarded-proto': protocol.slice(0, -1),
    'x-forwarded-host': host,
    'x-forwarded-user': requester?.username,
  }
  if (request.phase === 'rpc') {
    headers['content-type'] = `application/x-${request.service}-request`
    headers['content-encoding'] = request.contentEncoding
    headers['content-length'] = request.contentLength?.toString()
  }
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

/** How a response of the upstream is treated. Only Git's responses pass; gitgate words all others itself. */
export type ResponseKind =
  | { readonly kind: 'git' }
  | { readonly kind: 'missing' }
  /** Its status and its text are told to the client. */
  | { readonly kind: 'refusal'; readonly status: number; readonly hasText: boolean; readonly retryAfter?: number }
  | { readonly kind: 'moved'; readonly location: string }
  | { readonly kind: 'unusable'; readonly reason: string }

/** Classifies a response by its status and type. Redirects are never followed: they would bypass the decision. */
export function classifyResponse(status: number, headers: IncomingHttpHeaders, request: GitRequest): ResponseKind {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  switch (status) {
    case 404:
      return { kind: 'missing' }
    case 200:
      return classifySuccess(type, headers, request)
    // It wants a credential of the gate, which its clients can do nothing about.
    case 401:
    case 407:
      return { kind: 'unusable', reason: `status ${status}` }
  }
  if (status >= 300 && status < 400 && headers.location !== undefined)
    return { kind: 'moved', location: placeOf(headers.location) }
  if (status < 400 || status > 599) return { kind: 'unusable', reason: `status ${status}` }
  const seconds = /^\d{1,6}$/.exec(headers['retry-after'] ?? '')?.[0]
  return {
    kind: 'refusal',
    status,
    hasText: type === 'text/plain' && headers['content-encoding'] === undefined,
    ...(seconds === undefined ? {} : { retryAfter: Number(seconds) }),
  }
}

function classifySuccess(
  type: string | undefined,
  headers: IncomingHttpHeaders,
  { service, phase }: GitRequest,
): ResponseKind {
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    return { kind: 'unusable', reason: `Transfer-Encoding ${coding}` }
  }
  const expected = `application/x-${service}-${phase === 'advertisement' ? 'advertisement' : 'result'}`
  return type === expected ? { kind: 'git' } : { kind: 'unusable', reason: `Content-Type ${type ?? 'missing'}` }
}

const MAX_LOCATION_CHARACTERS = 300

/** The address of a repository in a `Location`, without what Git asks below it, and without a credential. */
function placeOf(location: string): string {
  return replaceUnprintable(location)
    .replace(/(\/info\/refs|\/git-upload-pack|\/git-receive-pack)?(\?.*)?$/, '')
    .replace(/\/\/[^/@]*@/, '//')
    .slice(0, MAX_LOCATION_CHARACTERS)
}
