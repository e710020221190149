import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { GitgateError, hasSystemCode } from '../errors.js'
import type { WebOptions } from './options.js'

/** Why there is a page of its own instead of what was asked for. */
export type PageProblem =
  | 'not-found'
  /** A form without our token, or from another site. */
  | 'form-not-ours'
  /** A form that no page of ours sends. */
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

/** Answers with an error page. */
export class PageError extends Error {
  readonly problem: PageProblem

  constructor(problem: PageProblem, message: string = problem) {
    super(message)
    this.problem = problem
  }
}

/** Answers what was thrown with a page that helps. */
export async function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { onError }: Pick<WebOptions, 'onError'>,
): Promise<FastifyReply> {
  const problem = problemOf(error)
  const isOurs = problem === 'failed' || problem === 'unavailable'
  if (isOurs) onError(error)
  const said = error instanceof GitgateError && !isOurs ? error.message : undefined
  if (problem === 'unavailable') reply.header('Retry-After', '5')
  // The store may be what failed: then the session can't be asked for what it has to say either.
  if (isOurs) request.visitor = { kind: 'stranger' }
  return await reply.page('error', { what: problem, said, requestId: request.exchange.requestId }, STATUS[problem])
}

function problemOf(error: unknown): PageProblem {
  if (error instanceof PageError) return error.problem
  if (error instanceof GitgateError) {
    if (error.code === 'not-found') return 'not-found'
    if (error.code === 'store') return 'unavailable'
    return ['invalid', 'conflict', 'forbidden'].includes(error.code) ? 'refused' : 'failed'
  }
  // Another program writes for longer than a server may wait.
  if (hasSystemCode(error, 'SQLITE_BUSY')) return 'unavailable'
  const { validation, statusCode = 500 } = error as Partial<FastifyError>
  if (validation !== undefined) return 'unreadable'
  if (statusCode === 413) return 'too-large'
  return statusCode < 500 ? 'unreadable' : 'failed'
}
