import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Secret } from '../../core/secret.js'

// 30 of 62 characters are 178 random bits, so a plain SHA-256 is digest enough: nothing can be guessed offline.
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_CHARACTERS = 30
const CHECKSUM_CHARACTERS = 6
const BODY_CHARACTERS = RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
const BODY = /[0-9A-Za-z]{36}$/
// As much as the setting `personal_access_token_prefix` takes.
const MAX_PREFIX = 20

/** The prefix of tokens where the setting `personal_access_token_prefix` was never changed. */
export const DEFAULT_PREFIX = 'ggpat-'

/** Makes the secret of a new token: prefix, 30 random characters, and the checksum over both. */
export function mintSecret(prefix: string): Secret {
  let text = prefix
  for (let i = 0; i < RANDOM_CHARACTERS; i++) text += BASE62.charAt(randomInt(BASE62.length))
  return new Secret(text + checksum(text), 'token')
}

/** What a password turns out to be before anything is looked up. */
export type SecretShape =
  /** Ends in a right checksum: worth a look-up. */
  | 'token'
  /** Begins like a token, but was mistyped or cut: no such token exists. */
  | 'broken-token'
  /** No token: may be a password. */
  | 'other'

/**
 * Tells whether a password is a token. Only what is no token at all goes to bcrypt, which is 10,000 times as expensive.
 *
 * @param prefixes the prefixes in use; an empty one says nothing about a secret
 */
export function secretShape(secret: Secret, prefixes: readonly string[]): SecretShape {
  const text = secret.reveal()
  if (endsInChecksum(text)) return 'token'
  return prefixes.some((prefix) => prefix !== '' && text.startsWith(prefix)) ? 'broken-token' : 'other'
}

/** What is stored of a token, and what it is looked up by: the SHA-256 of the whole secret, in base64url. */
export function digestSecret(secret: Secret): Secret {
  return new Secret(hash('sha256', secret.reveal(), 'base64url'), 'token digest')
}

/** Replaces everything in a text that ends in a token's checksum, for what might have been pasted where it is logged. */
export function redactTokens(text: string): string {
  if (text.length < BODY_CHARACTERS) return text
  let redacted = ''
  let done = 0
  for (const run of text.matchAll(/[0-9A-Za-z]{36,}/g)) {
    const end = run.index + run[0].length
    // Where a prefix begins can't be seen: it may hold the very characters that stand around tokens.
    const starts = Array.from({ length: MAX_PREFIX + 1 }, (_, length) => end - BODY_CHARACTERS - MAX_PREFIX + length)
    // All of a run are characters of a token: the object ids of 20,000 refs took a second to compare with a pattern again.
    const start = starts.find((start) => start >= done && hasChecksum(text.slice(start, end)))
    if (start === undefined) continue
    redacted += `${text.slice(done, start)}[token]`
    done = end
  }
  return redacted + text.slice(done)
}

function endsInChecksum(text: string): boolean {
  return BODY.test(text) && hasChecksum(text)
}

function hasChecksum(text: string): boolean {
  const end = text.length - CHECKSUM_CHARACTERS
  return checksum(text.slice(0, end)) === text.slice(end)
}

/** CRC-32 in six base-62 characters, as GitHub's tokens end in. */
function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < CHECKSUM_CHARACTERS; i++) {
    digits = BASE62.charAt(rest % BASE62.length) + digits
    rest = Math.floor(rest / BASE62.length)
  }
  return digits
}
