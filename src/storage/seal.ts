import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { GitgateError } from '../core/errors.js'
import { Secret } from '../core/secret.js'

const ALGORITHM = 'aes-256-gcm'
const VERSION = 'v1'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** The key's length in bytes. */
export const KEY_BYTES = 32

/**
 * Encrypts what the store must be able to read again, such as two-factor seeds, under a key that is not in the database:
 * a copy of the database alone gives nothing away (AES-256-GCM).
 */
export class Sealer {
  readonly #key: Buffer

  /** @param key 32 random bytes */
  constructor(key: Buffer) {
    this.#key = key
  }

  /** @param purpose what it is and whose, such as `two-factor seed of 7`: sealed for one row, it opens for no other */
  seal(secret: Secret, purpose: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(purpose))
    const sealed = Buffer.concat([nonce, cipher.update(secret.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `${VERSION}.${sealed.toString('base64url')}`
  }

  /** @throws GitgateError `store` when the key is another one, or the text was changed */
  open(sealed: string, purpose: string, label: string): Secret {
    const bytes = Buffer.from(sealed.slice(VERSION.length + 1), 'base64url')
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(purpose))
        .setAuthTag(bytes.subarray(-TAG_BYTES))
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
      return new Secret(text, label)
    } catch (cause) {
      throw new GitgateError(
        'store',
        `the ${label} can't be decrypted: the key file is not the one it was encrypted with`,
        { cause },
      )
    }
  }

  /**
   * Signs a text that stays readable, so that who can write to the database alone can't make another (HMAC-SHA-256).
   *
   * @param purpose what it is: signed as one thing, it is no signature of another
   */
  sign(text: string, purpose: string): string {
    return createHmac('sha256', this.#key).update(`${purpose}\n${text}`).digest('hex')
  }

  /** Whether a text was signed under this key. */
  isSigned(text: string, purpose: string, signature: string): boolean {
    const expected = Buffer.from(this.sign(text, purpose))
    const given = Buffer.from(signature)
    return given.length === expected.length && timingSafeEqual(given, expected)
  }
}
