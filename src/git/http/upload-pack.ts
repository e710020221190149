import { constants, gunzipSync } from 'node:zlib'
import { readAhead, unread } from '../../core/read-ahead.js'
import { classifyBodyStart } from '../../protocol/pkt-line.js'
import { asksForRefs, fetchResponseFormat } from '../../protocol/side-band.js'
import type { AuthorizedRequest } from './authorized-request.js'
import { refuse } from './git-response.js'

// What a request says of its response stands before the objects that it wants.
const START_BYTES = 4_096
// At most 68 KiB are read, and object IDs inflate to little more than twice their size. 1.5 KB could hold 200,000 packets.
const MAX_INFLATED_START_BYTES = 262_144

/** Serves a fetch, or with protocol version 2 a list of refs. */
export async function serveUploadPack(authorized: AuthorizedRequest): Promise<void> {
  const { request, identity, context, dependencies, response } = authorized
  const start = await readAhead(request.body, START_BYTES)
  if (start === undefined) return
  const isGzip = request.contentEncoding === 'gzip'
  const kind = isGzip ? 'packets' : classifyBodyStart(start)
  if (kind === 'empty' || kind === 'not-packets') {
    refuse({ kind: 'body-malformed' }, context, dependencies)
    return
  }
  const listsRefs = asksForRefs(start)
  if (listsRefs) authorized.audit.listsRefs()
  if (!(await authorized.isStillAllowed())) return
  if (kind === 'flush-only') {
    // A request for nothing gets an empty response.
    response.begin()
    authorized.finish({ kind: 'answered' })
    return
  }
  const format = fetchResponseFormat(isGzip ? gunzipStart(start) : start)
  if (format !== undefined) {
    const { access, baseUrl } = dependencies
    const message = format.wantsProgress ? await access.expiryWarning(identity, baseUrl()) : undefined
    response.multiplex(format, message)
  }
  await authorized.serve(dependencies.backend.uploadPack, {
    ...request,
    body: unread(start, request.body),
    slotRequest: { ...request.slotRequest, isSmall: listsRefs },
    // A compressed response has no place for messages.
    preferences: { ...request.preferences, ...(format === undefined ? {} : { acceptEncoding: 'identity' }) },
  })
}

/** What the first bytes of a compressed body hold; nothing if they are damaged, or hold far more than a fetch does. */
export function gunzipStart(start: Buffer): Buffer {
  try {
    return gunzipSync(start, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_INFLATED_START_BYTES })
  } catch {
    return Buffer.alloc(0)
  }
}
