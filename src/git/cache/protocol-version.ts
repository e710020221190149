/** The versions of Git's protocol (Git's documentation: gitprotocol-pack, gitprotocol-v2). */
export type ProtocolVersion = 0 | 1 | 2

const VERSION_KEY = /^version=([012])$/

/**
 * What a `Git-Protocol` header asks for, where that is one version and nothing else. Git takes a list of keys and heeds the
 * highest version in it; hooks and other servers may heed more of it, so a header with any other key has no version here.
 *
 * @param gitProtocol `undefined` where the client sent none, which is version 0
 */
export function protocolVersionOf(gitProtocol: string | undefined): ProtocolVersion | undefined {
  if (gitProtocol === undefined) return 0
  const digit = VERSION_KEY.exec(gitProtocol)?.[1]
  return digit === undefined ? undefined : (Number(digit) as ProtocolVersion)
}
