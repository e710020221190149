import type { GitgateError } from '../../core/errors.js'
import { RETRY_AFTER_SECONDS } from '../../core/errors.js'

/** An error response as GitLab words it (GitLab's REST API: status codes). */
export class ApiError extends Error {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, body: Readonly<Record<string, unknown>>, headers: Readonly<Record<string, string>> = {}) {
    super(`status ${status}`)
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** No valid credentials. Also for other accounts' tokens, because GitLab doesn't reveal that they exist. */
export function unauthorized(): ApiError {
  return new ApiError(401, { message: '401 Unauthorized' })
}

/** A token that was valid once, or is not accepted now (RFC 6750, 3.1). */
export function invalidToken(description: string): ApiError {
  const challenge = `Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="${description}"`
  return new ApiError(
    401,
    { error: 'invalid_token', error_description: description },
    { 'WWW-Authenticate': challenge },
  )
}

/** The token's scopes are insufficient for the route. */
export function insufficientScope(scopes: readonly string[]): ApiError {
  return new ApiError(403, {
    error: 'insufficient_scope',
    error_description: 'The request requires higher privileges than provided by the access token.',
    scope: scopes.join(' '),
  })
}

export function forbidden(reason?: string): ApiError {
  return new ApiError(403, { message: reason === undefined ? '403 Forbidden' : `403 Forbidden - ${reason}` })
}

/** @param thing what was not found, such as `User` */
export function notFound(thing?: string): ApiError {
  return new ApiError(404, { message: thing === undefined ? '404 Not Found' : `404 ${thing} Not Found` })
}

export function badRequest(reason?: string): ApiError {
  return new ApiError(400, { message: reason === undefined ? '400 Bad request' : `400 Bad request - ${reason}` })
}

/** A malformed parameter, such as `created_after is invalid`. */
export function badParameter(name: string, problem = 'is invalid'): ApiError {
  return new ApiError(400, { error: `${name} ${problem}` })
}

/** The request breaks a rule, for example of a setting. */
export function unprocessable(reason: string): ApiError {
  return new ApiError(422, { message: reason })
}

/** The database can't be written now. */
export function unavailable({ message }: GitgateError): ApiError {
  const headers = { 'Retry-After': String(RETRY_AFTER_SECONDS) }
  return new ApiError(503, { message: `503 Service Unavailable - ${message}` }, headers)
}

/** An invalid field, as GitLab's models report it. */
export function invalidField(field: string, problem: string): ApiError {
  return new ApiError(400, { message: { [field]: [problem] } })
}
