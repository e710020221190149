import { hash } from 'node:crypto'
import type { Service } from '../../protocol/git-request.js'

/** Texts, numbers and lists of them, in a fixed order. */
export type KeyPart = string | number | readonly KeyPart[]

/** What a key stands for: keys for different purposes never collide. */
export type KeyPurpose = 'advertisement' | 'refs' | 'fetch' | 'entry'

/**
 * A SHA-256 key in hexadecimal. JSON quotes each text and delimits each list, so different parts never have the same key.
 *
 * @param parts texts that stand for bytes are Latin-1, one character a byte
 */
export function cacheKey(purpose: KeyPurpose, parts: readonly KeyPart[]): string {
  return hash('sha256', JSON.stringify([purpose, parts]))
}

/**
 * The key of an advertisement, which depends only on the protocol version.
 *
 * Advertisements of receive-pack have none. They contain the nonce of signed pushes, which expires. A push is computed
 * against them, so an old one only earns refusals. Their `.have` lines name refs of alternates, which can change without
 * any change in the repository. And pushes are rare compared to the reads that a cache is for.
 *
 * @param gitProtocol the `Git-Protocol` header
 * @returns `undefined` if the response must come from the backend
 */
export function advertisementKey(service: Service, gitProtocol: string | undefined): string | undefined {
  const version = protocolVersionOf(gitProtocol)
  return service === 'git-receive-pack' || version === undefined ? undefined : cacheKey('advertisement', [version])
}

/** The versions of Git's protocol (Git's documentation: gitprotocol-pack, gitprotocol-v2). */
export type ProtocolVersion = 0 | 1 | 2

const VERSION_HEADER = /^version=([012])$/

/**
 * The protocol version that a `Git-Protocol` header requests. Git accepts a list of keys and uses the highest version in
 * it. Hooks and other servers may read further keys, so a header with any other key has no version here.
 *
 * @param gitProtocol `undefined` if the client sent none, which means version 0
 */
export function protocolVersionOf(gitProtocol: string | undefined): ProtocolVersion | undefined {
  if (gitProtocol === undefined) return 0
  const digit = VERSION_HEADER.exec(gitProtocol)?.[1]
  return digit === undefined ? undefined : (Number(digit) as ProtocolVersion)
}
