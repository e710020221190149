import { basic } from '../../test/acceptance/http-client.js'
import type { Credentials } from '../peers/nginx.js'

/** What git 2.39.5 calls itself in the protocol. */
export const AGENT = 'agent=git/2.39.5'
/** Packets without content. */
export const FLUSH = '0000'
export const DELIMITER = '0001'

/** Where an advertisement is. */
export const ADVERTISEMENT = '/info/refs?service=git-upload-pack'

/** Writes lines as packets (gitprotocol-common). */
export function encode(lines: readonly string[]): Buffer {
  const packet = (line: string): string =>
    line === FLUSH || line === DELIMITER ? line : (line.length + 4).toString(16).padStart(4, '0') + line
  return Buffer.from(lines.map(packet).join(''), 'latin1')
}

/** What `git ls-remote` asks of a server that speaks version 2. */
export const LS_REFS = encode([
  'command=ls-refs\n',
  AGENT,
  'object-format=sha1',
  DELIMITER,
  'peel\n',
  'symrefs\n',
  'unborn\n',
  FLUSH,
])

/** The headers that git sends with each request. */
export function gitHeaders({ username, password }: Credentials): Record<string, string> {
  return {
    'User-Agent': 'git/2.39.5',
    'Accept-Encoding': 'deflate, gzip, br, zstd',
    Pragma: 'no-cache',
    'Git-Protocol': 'version=2',
    Authorization: basic(username, password),
    // For servers that leave authentication to a proxy.
    'X-Forwarded-User': username,
  }
}

/** The headers of a POST to a service. */
export function serviceHeaders(service: string): Record<string, string> {
  return { 'Content-Type': `application/x-${service}-request`, Accept: `application/x-${service}-result` }
}
