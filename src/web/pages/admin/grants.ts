import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Grant } from '../../../domain/access/grant.js'
import { parseGrant, parseSubject } from '../../../domain/access/grant.js'
import { GitgateError } from '../../../core/errors.js'
import { PageError } from '../../page-errors.js'
import { problemIn } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import { SearchedList, pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'

const PATH = '/-/admin/grants'
const PER_PAGE = 50

/** Grants: who may do what on which repositories. */
export function grantPages(pages: Pages, { grants, accounts, access }: PageOptions): void {
  const noValues = { subject: '', role: 'read', pattern: '' }
  type Search = { readonly page?: number; readonly search?: string }
  const show = async (reply: FastifyReply, query: Search, values: object, problem?: string) => {
    const { search = '' } = query
    const window = windowOf(query, PER_PAGE)
    const found = await grants.search(search.trim(), window)
    return reply.page(
      'admin/grants',
      {
        grants: found.grants,
        pager: pagerOf(window, found.total, reply.request.url),
        isEmpty: search === '' && found.total === 0,
        search,
        values,
        problem,
      },
      problem === undefined ? 200 : 422,
    )
  }

  pages.get('/grants', { schema: { querystring: Type.Object(SearchedList) } }, (request, reply) =>
    show(reply, request.query, noValues),
  )

  const Text = Type.String({ maxLength: 1_000 })
  const Body = Type.Object({ subject: Text, role: Text, pattern: Text, replace: Type.Optional(Type.Literal('yes')) })
  pages.post('/grants', { schema: { body: Body } }, async (request, reply) => {
    const [subject, pattern] = [request.body.subject.trim(), request.body.pattern.trim()]
    const member = memberOf(request)
    try {
      const grant = parseGrant(subject, request.body.role, pattern)
      if (!grant.subject.startsWith('@') && (await accounts.findByUsername(subject)) === undefined)
        throw new GitgateError('not-found', `there is no account "${subject}"`)
      const before = await grants.find(grant.subject, grant.pattern)
      if (before !== undefined && before.role !== grant.role && request.body.replace === undefined)
        return await askToReplace(reply, { ...grant, subject }, before.role)
      await grants.put(member.auditContext, grant, access.now())
    } catch (error) {
      return show(reply, {}, request.body, problemIn(error))
    }
    await flash(member, `Granted ${subject} ${request.body.role} access to ${pattern}.`)
    return reply.redirect(PATH, 303)
  })

  const askToReplace = (reply: FastifyReply, grant: Pick<Grant, 'subject' | 'role' | 'pattern'>, now: string) =>
    reply.page('admin/confirm', {
      place: 'grants',
      heading: 'Replace the existing grant?',
      lead: 'This user already has a grant for these repositories. The change takes effect immediately.',
      facts: [
        ['User', grant.subject],
        ['Repositories', grant.pattern],
        ['Current role', now],
        ['New role', grant.role],
      ],
      action: PATH,
      hidden: Object.entries({ ...grant, replace: 'yes' }),
      button: 'Replace',
      cancel: PATH,
    })

  const Named = Type.Object({ subject: Text, pattern: Text })
  pages.get('/grants/remove', { schema: { querystring: Named } }, async (request, reply) => {
    const { subject, pattern } = request.query
    const grant = await grants.find(subject, pattern)
    if (grant === undefined) throw new PageError('not-found')
    return reply.page('admin/confirm', {
      place: 'grants',
      heading: 'Revoke this grant?',
      lead: 'Revoking takes effect immediately and cuts off transfers that need the grant. Other grants for the same repositories stay.',
      facts: [
        ['User', subject],
        ['Role', grant.role],
        ['Repositories', pattern],
      ],
      action: `${PATH}/remove`,
      hidden: Object.entries(request.query),
      button: 'Revoke grant',
      cancel: PATH,
    })
  })

  pages.post('/grants/remove', { schema: { body: Named } }, async (request, reply) => {
    const member = memberOf(request)
    const { subject, pattern } = request.body
    if (!(await grants.remove(member.auditContext, parseSubject(subject), pattern))) throw new PageError('not-found')
    await flash(member, `Revoked the grant of ${subject} on ${pattern}.`)
    return reply.redirect(PATH, 303)
  })
}
