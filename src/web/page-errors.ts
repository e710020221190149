import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { GitgateError, hasSystemCode } from '../core/errors.js'
import type { WebOptions } from './web-options.js'

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

/** Answers with the way to another page. */
export class Redirect extends Error {
  readonly path: string

  /** @param path where what was asked for is instead */
  constructor(path: string) {
    super(path)
    this.path = path
  }
}

/** Answers what was thrown with a page that helps. */
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
  if (problem === 'unavailable') reply.header('Retry-After', '5')
  // The store may be what failed: then the session can't be asked for what it has to say either.
  if (isOurs) request.principal = { kind: 'anonymous' }
  return await reply.page('error', { what: problem, said, requestId: request.context.requestId }, STATUS[problem])
}

/** What the page says about it beyond its heading, where there is something to say. */
function messageFor(error: unknown): string | undefined {
  if (error instanceof GitgateError) return sentence(error.message)
  const tooLong = (error as Partial<FastifyError>).validation?.find(({ keyword }) => keyword === 'maxLength')
  if (tooLong === undefined) return undefined
  const limit = Number(tooLong.params['limit']).toLocaleString('en')
  return `The field "${tooLong.instancePath.slice(1)}" is limited to ${limit} characters. Go back and shorten it.`
}

function problemOf(error: unknown): PageProblem {
  if (error instanceof PageError) return error.problem
  if (error instanceof GitgateError) {
    if (error.code === 'not-found') return 'not-found'
    if (error.code === 'store' || error.code === 'disk-full') return 'unavailable'
    return ['invalid', 'conflict', 'forbidden'].includes(error.code) ? 'refused' : 'failed'
  }
  // Another program writes for longer than a server may wait.
  if (hasSystemCode(error, 'SQLITE_BUSY')) return 'unavailable'
  const { validation, statusCode = 500 } = error as Partial<FastifyError>
  if (validation !== undefined) return 'unreadable'
  if (statusCode === 413) return 'too-large'
  return statusCode < 500 ? 'unreadable' : 'failed'
}

/** A message of ours as a sentence of its own. */
export function sentence(message: string): string {
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`
}
