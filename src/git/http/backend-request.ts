import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Identity } from '../../domain/access/authenticate.js'
import { pushesSomeRefsOnly } from '../../domain/access/authenticate.js'
import type { Refusal } from '../../domain/access/refusal.js'
import type { RequestContext } from '../../core/http.js'
import type { BackendRequest, ClientPreferences, Requester } from '../../protocol/backend.js'
import type { GitRequest } from '../../protocol/git-request.js'

// `version=2`, perhaps with other keys after a colon (Git's documentation: protocol-v2, GIT_PROTOCOL).
const GIT_PROTOCOL = /^[a-z0-9.=:_-]{1,255}$/i

/** An HTTP request as a backend gets it. @param signal aborted when the client has left */
export function toBackendRequest(
  { repository, service, phase }: GitRequest,
  { request, ip }: RequestContext,
  identity: Identity,
  signal: AbortSignal,
): BackendRequest {
  const length = request.headers['content-length']
  const requester = requesterOf(identity)
  return {
    repository,
    service,
    phase,
    body: request,
    contentEncoding: isGzip(request) ? 'gzip' : undefined,
    contentLength: length === undefined ? undefined : Number(length),
    gitProtocol: gitProtocolOf(request),
    preferences: preferencesOf(request.headers),
    clientAddress: ip,
    requester,
    slotRequest: { account: requester?.username ?? ip, isSmall: phase === 'advertisement' },
    signal,
  }
}

/** What is wrong with the headers of an RPC's body, if anything. */
export function requestContentError(request: IncomingMessage, { service }: GitRequest): Refusal | undefined {
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') return { kind: 'transfer-coding-unknown' }
  const expected = `application/x-${service}-request`
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type !== expected) return { kind: 'content-type-wrong', expected }
  if (!['', 'identity', 'gzip', 'x-gzip'].includes(contentEncoding(request)))
    return { kind: 'content-encoding-unknown' }
  return undefined
}

/** Whether a body is compressed. */
export function isGzip(request: IncomingMessage): boolean {
  return ['gzip', 'x-gzip'].includes(contentEncoding(request))
}

function contentEncoding(request: IncomingMessage): string {
  return (request.headers['content-encoding'] ?? '').trim().toLowerCase()
}

function gitProtocolOf(request: IncomingMessage): string | undefined {
  const header = request.headers['git-protocol']
  return typeof header === 'string' && GIT_PROTOCOL.test(header) ? header : undefined
}

function preferencesOf(headers: IncomingHttpHeaders): ClientPreferences {
  return {
    ...(headers.accept === undefined ? {} : { accept: headers.accept }),
    ...(headers['accept-encoding'] === undefined ? {} : { acceptEncoding: headers['accept-encoding'] }),
    ...(headers['accept-language'] === undefined ? {} : { acceptLanguage: headers['accept-language'] }),
    ...(headers['user-agent'] === undefined ? {} : { userAgent: headers['user-agent'] }),
  }
}

function requesterOf(identity: Identity): Requester | undefined {
  switch (identity.kind) {
    case 'anonymous':
      return undefined
    case 'password':
      return { username: identity.account.username }
    case 'token':
      return {
        username: identity.account.username,
        tokenId: identity.token.id,
        isLimited: pushesSomeRefsOnly(identity),
      }
  }
}
