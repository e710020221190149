import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Secret } from '../../core/secret.js'

// 30 of 62 characters are 178 random bits: a plain SHA-256 suffices, because nobody can guess that offline.
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_CHARACTERS = 30
const CHECKSUM_CHARACTERS = 6
const BODY_CHARACTERS = RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
const CRC32_START = 0xffffffff
const CRC32_POLYNOMIAL = 0xedb88320
const BODY = /[0-9A-Za-z]{36}$/
// The limit of the setting `personal_access_token_prefix`.
const MAX_PREFIX = 20

/** The default of the setting `personal_access_token_prefix`. */
export const DEFAULT_PREFIX = 'ggpat-'

/** Generates the secret of a new token: prefix, 30 random characters, and the checksum over both. */
export function mintSecret(prefix: string): Secret {
  let text = prefix
  for (let i = 0; i < RANDOM_CHARACTERS; i++) text += BASE62.charAt(randomInt(BASE62.length))
  return new Secret(text + checksum(text), 'token')
}

/** What the form of a password says, before any lookup. */
export type SecretShape =
  /** Has a valid checksum, so a lookup makes sense. */
  | 'token'
  /** Begins like a token, but is mistyped or truncated: no such token exists. */
  | 'broken-token'
  /** Not a token; may be a password. */
  | 'other'

/**
 * Tells whether a password is a token. Only passwords that aren't tokens are checked with bcrypt, which costs 10,000 times as
 * much.
 *
 * @param prefixes the prefixes in use; an empty one matches nothing
 */
export function secretShape(secret: Secret, prefixes: readonly string[]): SecretShape {
  const text = secret.reveal()
  if (endsInChecksum(text)) return 'token'
  return prefixes.some((prefix) => prefix !== '' && text.startsWith(prefix)) ? 'broken-token' : 'other'
}

/** The digest that is stored and looked up: the SHA-256 of the complete secret, in base64url. */
export function digestSecret(secret: Secret): Secret {
  return new Secret(hash('sha256', secret.reveal(), 'base64url'), 'token digest')
}

/** Redacts each token in a text that will be logged, wherever it was pasted. */
export function redactTokens(text: string): string {
  if (text.length < BODY_CHARACTERS) return text
  let redacted = ''
  let done = 0
  for (const run of text.matchAll(/[0-9A-Za-z]{36,}/g)) {
    // Characters of another token may follow, such as the prefix of the same token pasted twice.
    for (let end = run.index + BODY_CHARACTERS; end <= run.index + run[0].length; end++) {
      const start = end - BODY_CHARACTERS < done ? undefined : startOfToken(text, done, end)
      if (start === undefined) continue
      redacted += `${text.slice(done, start)}[token]`
      done = end
    }
  }
  return redacted + text.slice(done)
}

/**
 * Finds the start of a token whose checksum ends at an index. It computes the CRC-32 backwards from the checksum: at the start
 * of the token it has the initial value of a CRC-32. So one pass tries all prefixes, in at most 50 steps for each index, which
 * keeps the redaction of long texts linear.
 *
 * @param from the earliest possible start
 */
function startOfToken(text: string, from: number, end: number): number | undefined {
  const bodyStart = end - BODY_CHARACTERS
  const checksumStart = end - CHECKSUM_CHARACTERS
  let value = 0
  for (let i = checksumStart; i < end; i++) value = value * BASE62.length + digitOf(text.charCodeAt(i))
  if (value > 0xffffffff) return undefined
  let state = ~value
  let start: number | undefined
  for (let i = checksumStart - 1; i >= Math.max(from, bodyStart - MAX_PREFIX); i--) {
    const code = text.charCodeAt(i)
    // Prefixes are ASCII.
    if (code > 127) break
    const index = CRC32_INDEX_BY_TOP_BYTE[state >>> 24] ?? 0
    state = ((state ^ (CRC32_TABLE[index] ?? 0)) << 8) | (index ^ code)
    if (i <= bodyStart && state >>> 0 === CRC32_START) start = i
  }
  return start
}

function digitOf(code: number): number {
  if (code <= 57) return code - 48
  return code <= 90 ? code - 55 : code - 61
}

const CRC32_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let state = byte
  for (let bit = 0; bit < 8; bit++) state = (state & 1) === 1 ? (state >>> 1) ^ CRC32_POLYNOMIAL : state >>> 1
  return state
})
// Each entry of the table has a different top byte.
const CRC32_INDEX_BY_TOP_BYTE = new Uint8Array(256)
for (const [index, entry] of CRC32_TABLE.entries()) CRC32_INDEX_BY_TOP_BYTE[entry >>> 24] = index

function endsInChecksum(text: string): boolean {
  return BODY.test(text) && hasChecksum(text)
}

function hasChecksum(text: string): boolean {
  const end = text.length - CHECKSUM_CHARACTERS
  return checksum(text.slice(0, end)) === text.slice(end)
}

/** CRC-32 in six base-62 characters, as at the end of GitHub's tokens. */
function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < CHECKSUM_CHARACTERS; i++) {
    digits = BASE62.charAt(rest % BASE62.length) + digits
    rest = Math.floor(rest / BASE62.length)
  }
  return digits
}
