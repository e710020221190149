import { Type } from 'typebox'
import { sessionEnd } from '../../domain/accounts/session.js'
import { browserName } from '../browser-name.js'
import { PageError } from '../page-errors.js'
import { flash } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { memberOf, sessionLimits } from '../principal.js'

const PATH = '/-/user_settings/active_sessions'
const Id = Type.Object({ id: Type.Integer({ minimum: 1 }) })

/** The user's sessions, and ending them. */
export function sessionPages(pages: Pages, options: PageOptions): void {
  const { access, sessions } = options

  pages.get(PATH, async (request, reply) => {
    const { account, session } = memberOf(request)
    const limits = await sessionLimits(options)
    const open = (await sessions.list(account.id)).map((one) => ({
      ...one,
      browser: browserName(one.userAgent),
      end: sessionEnd(one, limits),
      isThis: one.id === session.id,
    }))
    return reply.page('sessions', { sessions: open.filter(({ end }) => end > access.now()) })
  })

  pages.post(`${PATH}/:id/end`, { schema: { params: Id } }, async (request, reply) => {
    const member = memberOf(request)
    // Sessions of other accounts don't exist here.
    if (!(await options.sessions.end(member.auditContext, member.account.id, request.params.id)))
      throw new PageError('not-found')
    await flash(member, 'Session ended.')
    return reply.redirect(PATH, 303)
  })

  pages.post(`${PATH}/end_others`, async (request, reply) => {
    const member = memberOf(request)
    await options.sessions.endOthers(member.auditContext, member.account.id, member.session.id)
    await flash(member, 'You were signed out everywhere else.')
    return reply.redirect(PATH, 303)
  })
}
