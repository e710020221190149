import type { UploadPackRequest } from './upload-pack-request.js'
import { parseVersion0 } from './fetch-v0.js'
import { parseVersion2 } from './fetch-v2.js'
import { protocolVersionOf } from './protocol-version.js'
import { readRequestLines } from './request-lines.js'

/** Longer bodies are not parsed. Git's longest rounds of haves are far below. */
export const MAX_BODY_BYTES = 1_048_576

/**
 * Parses the body of a POST to upload-pack. Whatever is not known byte by byte is uncacheable, such as
 * `server-option`, `want-ref`, `packfile-uris`, `sideband-all`, `object-info`, `bundle-uri` and `promisor-remote`.
 * `wait-for-done` is too: by it a client asks what the server has, to push against it, and an old answer would make it leave
 * out objects that are gone.
 *
 * A round of negotiation (version 2, haves without `done`) is answered by itself: over HTTP the server remembers nothing. An
 * old answer may overlook a common object that was pushed since, which costs bytes, or name one that is gone, which the
 * next round ignores; a pack was computed from what the request itself says the client has, and stays right for it.
 *
 * @param body decoded
 * @param gitProtocol the `Git-Protocol` header
 */
export function parseUploadPackRequest(body: Buffer, gitProtocol: string | undefined): UploadPackRequest {
  const version = protocolVersionOf(gitProtocol)
  if (version === undefined || body.length > MAX_BODY_BYTES) return { kind: 'uncacheable' }
  const lines = readRequestLines(body)
  if (lines === undefined) return { kind: 'uncacheable' }
  switch (version) {
    case 0:
    case 1:
      return parseVersion0(version, lines)
    case 2:
      return parseVersion2(lines)
  }
}
