import type { FastifyRequest } from 'fastify'
import { Secret } from '../core/secret.js'
import { memberOf } from './principal.js'
import { auditEvent, requestActor } from '../domain/audit/event.js'
import type { PageOptions } from './web-options.js'

/**
 * Checks a user's password again before a change that could lock its owner out: an unattended or stolen session must not
 * be enough.
 *
 * @returns what is wrong with the field `current_password`, or `undefined`
 */
export async function requirePassword(request: FastifyRequest, options: PageOptions): Promise<string | undefined> {
  const { signIn, recorder, access } = options
  const { account } = memberOf(request)
  const { current_password: given } = request.body as { current_password: string }
  const verdict = await signIn.confirmPassword(account, new Secret(given, 'password'), request.context.ip)
  if (verdict === 'right') return undefined
  if (verdict === 'busy') return 'The server is busy. Try again in a moment.'
  const rule = verdict === 'wrong' ? 'wrong password' : 'too many sign-ins'
  const event = { action: 'auth.refused', decision: 'refused', rule } as const
  recorder.noteRefusal(auditEvent(requestActor('web', request.context, account), access.now(), event))
  return verdict === 'wrong' ? 'Wrong password.' : 'Too many wrong passwords. Try again in 10 minutes.'
}
