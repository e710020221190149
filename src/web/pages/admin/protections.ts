import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Protection } from '../../../domain/access/protection.js'
import { describeProtection, parseProtection } from '../../../domain/access/protection.js'
import { PageError } from '../../page-errors.js'
import { problemIn } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'

const PATH = '/-/admin/protected_refs'

type Rule = Omit<Protection, 'id'>

/** Protected refs, which not every account with write access may change. */
export function protectionPages(pages: Pages, { protections, access }: PageOptions): void {
  const noValues = { repositories: '', refs: '', push: 'admin', force: 'nobody', delete: 'nobody' }
  const show = async (reply: FastifyReply, values: object, problem?: string) =>
    reply.page(
      'admin/protections',
      { protections: await protections.list(), values, problem },
      problem === undefined ? 200 : 422,
    )

  const find = async ({ repositories, refs }: Pick<Rule, 'repositories' | 'refs'>): Promise<Protection | undefined> =>
    (await protections.list()).find((it) => it.repositories === repositories && it.refs === refs)
  const askToReplace = (reply: FastifyReply, rule: Rule, before: Rule) =>
    reply.page('admin/confirm', {
      place: 'protections',
      heading: 'Replace the existing rule?',
      lead: 'These refs are already protected in these repositories. The change takes effect immediately.',
      facts: [
        ['Repositories', rule.repositories],
        ['Refs', rule.refs],
        ['Current rule', levelsOf(before)],
        ['New rule', levelsOf(rule)],
      ],
      action: PATH,
      hidden: Object.entries({ ...rule, replace: 'yes' }),
      button: 'Replace',
      cancel: PATH,
    })

  pages.get('/protected_refs', (_request, reply) => show(reply, noValues))

  const Text = Type.String({ maxLength: 1_000 })
  const Named = Type.Object({ repositories: Text, refs: Text })
  const Levels = { push: Text, force: Text, delete: Text }
  const Body = Type.Object({ ...Named.properties, ...Levels, replace: Type.Optional(Type.Literal('yes')) })
  pages.post('/protected_refs', { schema: { body: Body } }, async (request, reply) => {
    const member = memberOf(request)
    const { repositories, refs, replace, ...levels } = request.body
    try {
      const protection = parseProtection(repositories.trim(), refs.trim(), levels)
      const before = await find(protection)
      if (before !== undefined && levelsOf(before) !== levelsOf(protection) && replace === undefined)
        return await askToReplace(reply, protection, before)
      await flash(
        member,
        `${describeProtection(await protections.put(member.auditContext, protection, access.now()))}.`,
      )
    } catch (error) {
      return show(reply, request.body, problemIn(error))
    }
    return reply.redirect(PATH, 303)
  })

  pages.get('/protected_refs/remove', { schema: { querystring: Named } }, async (request, reply) => {
    const { repositories, refs } = request.query
    const one = await find({ repositories, refs })
    if (one === undefined) throw new PageError('not-found')
    return reply.page('admin/confirm', {
      place: 'protections',
      heading: 'Remove this protection?',
      lead: 'Everyone who can push to the repositories will be able to change these refs, unless another rule forbids it. The change takes effect immediately.',
      facts: [
        ['Repositories', repositories],
        ['Refs', refs],
        ['Push', one.push],
        ['Force-push', one.force],
        ['Delete', one.delete],
      ],
      action: `${PATH}/remove`,
      hidden: Object.entries(request.query),
      button: 'Remove protection',
      cancel: PATH,
    })
  })

  pages.post('/protected_refs/remove', { schema: { body: Named } }, async (request, reply) => {
    const member = memberOf(request)
    const { repositories, refs } = request.body
    if (!(await protections.remove(member.auditContext, repositories, refs))) throw new PageError('not-found')
    await flash(member, `Removed the protection of ${refs} in ${repositories}.`)
    return reply.redirect(PATH, 303)
  })
}

function levelsOf(rule: Rule): string {
  return `push: ${rule.push}, force-push: ${rule.force}, delete: ${rule.delete}`
}
