import type { Service } from '../../protocol/git-request.js'
import { keyOf } from './key.js'
import { protocolVersionOf } from './protocol-version.js'

/**
 * What an advertisement is asked for by, as a key: the protocol's version is all that counts.
 *
 * Receive-pack's advertisement has none. It holds the nonce of signed pushes, which expires; it is what a push is computed
 * against, so that an old one only earns refusals; it names `.have` lines of alternates, which no ref's change announces;
 * and a push is rare beside the reads that a cache is there for.
 *
 * @param gitProtocol the `Git-Protocol` header
 * @returns `undefined` where the answer must come from the backend
 */
export function advertisementKey(service: Service, gitProtocol: string | undefined): string | undefined {
  const version = protocolVersionOf(gitProtocol)
  return service === 'git-receive-pack' || version === undefined ? undefined : keyOf('advertisement', [version])
}
