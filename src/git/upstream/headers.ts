import type { IncomingHttpHeaders } from 'node:http'
import type { BackendRequest } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'
import type { Secret } from '../../core/secret.js'

/** What the gate says of itself to an upstream. */
export type Introduction = {
  /** The upstream's own credential: a whole `Authorization` header. The client's never goes on. */
  readonly authorization: Secret | undefined
  /** Where people reach the gate. */
  readonly publicUrl: () => string
  /** This gate's name in `Via`, by which it knows a request that comes back to it (RFC 9110, 7.6.3). */
  readonly pseudonym: string
}

/**
 * The headers of a request to an upstream, made anew: an allow-list of the client's, and ours. So nothing else of the
 * client's passes, under no spelling (CGI programs read `X_Forwarded_User` as `X-Forwarded-User`), and http-proxy has
 * nothing to edit, which it would not do where the client sends `Expect`.
 */
export function requestHeaders(request: BackendRequest, introduction: Introduction): Record<string, string> {
  const { preferences, requester } = request
  const { protocol, host } = new URL(introduction.publicUrl())
  const headers: Record<string, string | undefined> = {
    'git-protocol': request.gitProtocol,
    accept: preferences.accept,
    'accept-encoding': preferences.acceptEncoding,
    'accept-language': preferences.acceptLanguage,
    'user-agent': preferences.userAgent,
    authorization: introduction.authorization?.reveal(),
    via: `1.1 ${introduction.pseudonym}`,
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

/** What an upstream's answer is to us. Only a Git answer passes; everything else is said in our own words. */
export type AnswerKind =
  { readonly kind: 'git' } | { readonly kind: 'missing' } | { readonly kind: 'unusable'; readonly reason: string }

/** Judges an answer by its status and type. Redirects are never followed: they would lead past the decision. */
export function judgeAnswer(status: number, headers: IncomingHttpHeaders, request: GitRequest): AnswerKind {
  if (status === 404) return { kind: 'missing' }
  if (status !== 200) return { kind: 'unusable', reason: `status ${status}` }
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    return { kind: 'unusable', reason: `Transfer-Encoding ${coding}` }
  }
  const expected = `application/x-${request.service}-${request.phase === 'advertisement' ? 'advertisement' : 'result'}`
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  return type === expected ? { kind: 'git' } : { kind: 'unusable', reason: `Content-Type ${type ?? 'missing'}` }
}
