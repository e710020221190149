import { Secret } from '../../core/secret.js'

/** What the `Authorization` header of a request holds. */
export type Credential =
  /** No header, or a scheme that Git's routes don't look at, such as Bearer (GitLab: as if nothing was given). */
  | { readonly kind: 'none' }
  /** The Basic scheme (RFC 7617). The username may be empty, and so may the password. */
  | { readonly kind: 'basic'; readonly username: string; readonly password: Secret }
  /** The Basic scheme, but not base64, not UTF-8, or without a colon. */
  | { readonly kind: 'malformed' }

const BASIC = /^basic(?: +(.*))?$/i
// RFC 4648 with or without its padding; `Buffer.from` would skip over anything else.
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const CONTROL = /\p{Cc}/u
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads an `Authorization` header. */
export function parseAuthorization(header: string | undefined): Credential {
  const match = header === undefined ? null : BASIC.exec(header.trim())
  if (match === null) return { kind: 'none' }
  const encoded = match[1] ?? ''
  const text = BASE64.test(encoded) ? decodeUtf8(Buffer.from(encoded, 'base64')) : undefined
  const colon = text?.indexOf(':') ?? -1
  // RFC 7617, 2: neither part may hold control characters.
  if (text === undefined || colon === -1 || CONTROL.test(text)) return { kind: 'malformed' }
  return { kind: 'basic', username: text.slice(0, colon), password: new Secret(text.slice(colon + 1), 'password') }
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
