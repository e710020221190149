import { Type } from 'typebox'
import { GitgateError } from '../../core/errors.js'
import { checkPassword } from '../../domain/policies/password-use.js'
import { Secret } from '../../core/secret.js'
import { requirePassword } from '../confirmation.js'
import { sentence } from '../page-errors.js'
import { flash } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { beginSession, memberOf } from '../principal.js'

const PATH = '/-/user_settings/password'
const Change = Type.Object({
  current_password: Type.String(),
  password: Type.String(),
  password_confirmation: Type.String(),
})

/** Changing the user's own password. */
export function passwordPages(pages: Pages, options: PageOptions): void {
  const { access, passwords, cookies } = options

  pages.get(PATH, (_request, reply) => reply.page('password', { errors: {} }))

  pages.post(PATH, { schema: { body: Change } }, async (request, reply) => {
    const { account, session, sessions, auditContext } = memberOf(request)
    const password = new Secret(request.body.password, 'password')
    const wrong = (errors: object) => reply.page('password', { errors }, 422)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return wrong({ current_password: problem })
    try {
      checkPassword(password, account, await access.settings())
    } catch (error) {
      if (error instanceof GitgateError) return wrong({ password: sentence(error.message) })
      throw error
    }
    if (request.body.password_confirmation !== request.body.password)
      return wrong({ password_confirmation: 'The passwords don’t match.' })
    // A user who changes a leaked password must not believe that it changed. The current password is known to be right here.
    if (request.body.password === request.body.current_password)
      return wrong({ password: 'This is your current password. Choose a different one.' })
    const passwordHash = await passwords.hash(password)
    await options.accounts.setPasswordHash(auditContext, account.id, passwordHash)
    const next = await beginSession(request, reply, { ...account, passwordHash }, session.signedInBy, cookies, options)
    await flash({ session: next, sessions }, 'Password changed. You were signed out everywhere else.')
    return reply.redirect(PATH, 303)
  })
}
