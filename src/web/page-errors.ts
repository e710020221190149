import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { GitgateError, isUnavailable, RETRY_AFTER_SECONDS } from '../core/errors.js'
import type { WebOptions } from './web-options.js'

/** Why an error page is sent. */
export type PageProblem =
  | 'not-found'
  /** A form without a valid CSRF token, or from another site. */
  | 'form-not-ours'
  /** A form that no page of the gate sends. */
  | 'unreadable'
  | 'too-large'
  | 'refused'
  | 'unavailable'
  | 'failed'

const STATUS: Readonly<Record<PageProblem, number>> = {
  'not-found': 404,
  'form-not-ours': 403,
  unreadable: 400,
  'too-large': 413,
  refused: 422,
  unavailable: 503,
  failed: 500,
}

/** Thrown to send an error page. */
export class PageError extends Error {
  readonly problem: PageProblem

  constructor(problem: PageProblem, message: string = problem) {
    super(message)
    this.problem = problem
  }
}

/** Thrown to redirect to another page. */
export class Redirect extends Error {
  readonly path: string

  constructor(path: string) {
    super(path)
    this.path = path
  }
}

/** Sends the page for an error that was thrown. */
export async function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { onError }: Pick<WebOptions, 'onError'>,
): Promise<FastifyReply> {
  if (error instanceof Redirect) return reply.redirect(error.path, 303)
  const problem = problemOf(error)
  const isOurs = problem === 'failed' || problem === 'unavailable'
  if (isOurs) onError(error)
  const said = isOurs ? undefined : messageFor(error)
  if (problem === 'unavailable') reply.header('Retry-After', RETRY_AFTER_SECONDS)
  // If the store failed, the page must not read the session either.
  if (isOurs) request.principal = { kind: 'anonymous' }
  return await reply.page('error', { what: problem, said, requestId: request.context.requestId }, STATUS[problem])
}

/** The text below the heading, if there is one. */
function messageFor(error: unknown): string | undefined {
  if (error instanceof GitgateError) return sentence(error.message)
  const tooLong = (error as Partial<FastifyError>).validation?.find(({ keyword }) => keyword === 'maxLength')
  if (tooLong === undefined) return undefined
  const limit = Number(tooLong.params['limit']).toLocaleString('en')
  return `The field "${tooLong.instancePath.slice(1)}" is limited to ${limit} characters. Go back and shorten it.`
}

function problemOf(error: unknown): PageProblem {
  if (error instanceof PageError) return error.problem
  if (isUnavailable(error)) return 'unavailable'
  if (error instanceof GitgateError) {
    if (error.code === 'not-found') return 'not-found'
    return ['invalid', 'conflict', 'forbidden'].includes(error.code) ? 'refused' : 'failed'
  }
  const { validation, statusCode = 500 } = error as Partial<FastifyError>
  if (validation !== undefined) return 'unreadable'
  if (statusCode === 413) return 'too-large'
  return statusCode < 500 ? 'unreadable' : 'failed'
}

/** An error message as a sentence. */
export function sentence(message: string): string {
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`
}
