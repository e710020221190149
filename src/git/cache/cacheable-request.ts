import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { readAhead, unread } from '../../core/read-ahead.js'
import type { BackendRequest } from '../../protocol/backend.js'
import { advertisementKey, protocolVersionOf } from './cache-key.js'
import type { UploadPackRequest } from './upload-pack-request.js'
import { MAX_BODY_BYTES, parseUploadPackRequest } from './upload-pack-request.js'

/** A request that the cache understands. */
export type CacheableRequest =
  /** `listsRefs`: version 2 advertises only capabilities. */
  | { readonly kind: 'advertisement'; readonly key: string; readonly listsRefs: boolean }
  | Exclude<UploadPackRequest, { readonly kind: 'uncacheable' }>

export type ReadRequest =
  /** `body`: decoded; empty for an advertisement. */
  | { readonly kind: 'cacheable'; readonly cacheable: CacheableRequest; readonly body: Buffer }
  /** The request for the backend, with its whole body. */
  | { readonly kind: 'uncacheable'; readonly request: BackendRequest }
  | { readonly kind: 'client-left' }

/** Reads a request and its body, unless the body is too long. */
export async function readCacheableRequest(request: BackendRequest): Promise<ReadRequest> {
  const { gitProtocol } = request
  if (request.phase === 'advertisement') {
    const key = advertisementKey(request.service, gitProtocol)
    if (key === undefined) return { kind: 'uncacheable', request }
    const listsRefs = protocolVersionOf(gitProtocol) !== 2
    return { kind: 'cacheable', cacheable: { kind: 'advertisement', key, listsRefs }, body: Buffer.alloc(0) }
  }
  const bytes = await readAhead(request.body, MAX_BODY_BYTES + 1)
  if (bytes === undefined) return { kind: 'client-left' }
  const body = bytes.length > MAX_BODY_BYTES ? undefined : decode(bytes, request.contentEncoding)
  if (body === undefined) return { kind: 'uncacheable', request: { ...request, body: unread(bytes, request.body) } }
  const parsed = parseUploadPackRequest(body, gitProtocol)
  return parsed.kind === 'uncacheable'
    ? { kind: 'uncacheable', request: withBody(request, body) }
    : { kind: 'cacheable', cacheable: parsed, body }
}

/** A request for the backend whose body was read. @param body decoded */
export function withBody(request: BackendRequest, body: Buffer): BackendRequest {
  return { ...request, body: Readable.from([body]), contentEncoding: undefined, contentLength: body.length }
}

/** @returns `undefined` for a damaged body, and for one that inflates to more than is parsed */
function decode(bytes: Buffer, encoding: BackendRequest['contentEncoding']): Buffer | undefined {
  if (encoding === undefined) return bytes
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_BODY_BYTES })
  } catch {
    return undefined
  }
}
