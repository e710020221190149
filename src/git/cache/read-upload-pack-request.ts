import type { Readable } from 'node:stream'
import type { BackendRequest } from '../../protocol/backend.js'
import type { UploadPackRequest } from './upload-pack-request.js'
import { parseUploadPackRequest } from './upload-pack-request.js'
import { readBody } from './request-body.js'

export type ReadRequest =
  | {
      readonly kind: 'parsed'
      readonly request: Exclude<UploadPackRequest, { readonly kind: 'uncacheable' }>
      readonly body: Buffer
    }
  /** It can't be cached. The body as read, or a stream of all of it. */
  | { readonly kind: 'unparsed'; readonly body: Buffer | Readable }
  | { readonly kind: 'client-left' }

/** Reads and parses the body of a POST to upload-pack. */
export async function readUploadPackRequest({
  body,
  contentEncoding,
  gitProtocol,
  signal,
}: BackendRequest): Promise<ReadRequest> {
  const read = await readBody(body, contentEncoding, signal)
  if (read.kind === 'client-left') return read
  if (read.kind === 'stream') return { kind: 'unparsed', body: read.body }
  const parsed = parseUploadPackRequest(read.bytes, gitProtocol)
  if (parsed.kind === 'uncacheable') return { kind: 'unparsed', body: read.bytes }
  return { kind: 'parsed', request: parsed, body: read.bytes }
}
