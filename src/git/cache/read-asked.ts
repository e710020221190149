import type { Readable } from 'node:stream'
import type { Exchange } from '../../protocol/backend.js'
import type { Asked } from './asked.js'
import { parseAsked } from './parse-asked.js'
import { readBody } from './request-body.js'

/** What an exchange asks for. */
export type ReadAsked =
  | { readonly kind: 'asked'; readonly asked: Exclude<Asked, { readonly kind: 'uncacheable' }>; readonly body: Buffer }
  /** Something that is not shared: the body, as far as it was read, or a stream of all of it. */
  | { readonly kind: 'unread'; readonly body: Buffer | Readable }
  | { readonly kind: 'client-left' }

/** Reads what an exchange of upload-pack asks for. */
export async function readAsked({ body, contentEncoding, gitProtocol, signal }: Exchange): Promise<ReadAsked> {
  const read = await readBody(body, contentEncoding, signal)
  if (read.kind === 'client-left') return read
  if (read.kind === 'stream') return { kind: 'unread', body: read.body }
  const asked = parseAsked(read.bytes, gitProtocol)
  if (asked.kind === 'uncacheable') return { kind: 'unread', body: read.bytes }
  return { kind: 'asked', asked, body: read.bytes }
}
