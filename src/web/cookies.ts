import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { mintSessionSecret } from '../domain/accounts/session.js'
import { Secret } from '../core/secret.js'

/**
 * The cookies of the pages: one for a session, and one for a visit before signing in. Over HTTPS their names have the prefix
 * `__Host-`: no other host, not even a subdomain, can set them, nor can plain HTTP (RFC 6265bis, 4.1.3.2).
 */
export class Cookies {
  readonly #isSecure: () => boolean

  /** @param baseUrl the public URL of the gate */
  constructor(baseUrl: () => string) {
    this.#isSecure = () => baseUrl().startsWith('https:')
  }

  /** The secret of the request's session. */
  session(request: FastifyRequest): Secret | undefined {
    return this.#read(request, 'session')
  }

  /** The secret that a request's forms are bound to: that of the session, or else of the visit. */
  behind(request: FastifyRequest): Secret | undefined {
    return request.principal.kind === 'anonymous' ? this.#read(request, 'visit') : this.session(request)
  }

  /** The CSRF token for the forms of a page. Starts a visit if there is neither session nor visit. */
  csrfToken(request: FastifyRequest, reply: FastifyReply): string {
    const known = this.behind(request)
    const secret = known ?? mintSessionSecret()
    if (known === undefined) this.#write(reply, 'visit', secret)
    return csrfToken(secret)
  }

  /** Sets the cookie of a new session, and ends the visit. */
  beginSession(reply: FastifyReply, secret: Secret): void {
    this.#write(reply, 'session', secret)
    void reply.clearCookie(this.#name('visit'), this.#options())
  }

  endSession(reply: FastifyReply): void {
    void reply.clearCookie(this.#name('session'), this.#options())
  }

  #read(request: FastifyRequest, what: 'session' | 'visit'): Secret | undefined {
    const value = request.cookies[this.#name(what)]
    return value !== undefined && SHAPE.test(value) ? new Secret(value, what) : undefined
  }

  #write(reply: FastifyReply, what: 'session' | 'visit', secret: Secret): void {
    void reply.setCookie(this.#name(what), secret.reveal(), this.#options())
  }

  #name(what: 'session' | 'visit'): string {
    return `${this.#isSecure() ? '__Host-' : ''}gitgate_${what}`
  }

  // Lax: links in mails open with the session; forms of other sites send no cookie.
  #options() {
    return { path: '/', httpOnly: true, sameSite: 'lax', secure: this.#isSecure() } as const
  }
}

const SHAPE = /^[A-Za-z0-9_-]{43}$/
const MASK_BYTES = 32

/**
 * The CSRF token of a form: derived from the secret in the cookie, which no other site can read. The server keeps nothing, so the
 * token survives a restart, works with any of several gates, and changes with the session. It gets a new mask for each page, so
 * that compression reveals nothing about it (BREACH).
 */
function csrfToken(secret: Secret): string {
  const mask = randomBytes(MASK_BYTES)
  return Buffer.concat([mask, mix(mask, expected(secret))]).toString('base64url')
}

/** Whether a form's token belongs to the secret in the cookie. */
export function isCsrfToken(secret: Secret, token: unknown): boolean {
  if (typeof token !== 'string') return false
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length !== 2 * MASK_BYTES) return false
  return timingSafeEqual(mix(bytes.subarray(0, MASK_BYTES), bytes.subarray(MASK_BYTES)), expected(secret))
}

function expected(secret: Secret): Buffer {
  return createHmac('sha256', secret.reveal()).update('csrf').digest()
}

function mix(mask: Buffer, bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte ^ (mask[index] ?? 0)))
}
