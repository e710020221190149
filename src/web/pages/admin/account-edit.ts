import { Type } from 'typebox'
import { checkAccountChange } from '../../../accounts/account.js'
import { GitgateError } from '../../../errors.js'
import { confirmedBy } from '../../confirmation.js'
import { errorsIn, problemIn } from '../../forms.js'
import { say } from '../../memo.js'
import type { PageOptions } from '../../options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../visitor.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'

/** An account's name, its address, and whether it administers: all that can be given it later. */
export function accountEditPages(pages: Pages, options: PageOptions): void {
  const params = NamedAccount

  pages.get('/users/:username/edit', { schema: { params } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const isSelf = account.id === memberOf(request).account.id
    const values = { name: account.name, email: account.email ?? '', admin: account.admin }
    return reply.page('admin/edit-account', { account, path: pathOfAccount(account), isSelf, values, errors: {} })
  })

  const Text = Type.String({ maxLength: 1_000 })
  const Body = Type.Object({
    name: Text,
    email: Text,
    admin: Type.Optional(Type.Literal('yes')),
    current_password: Type.String(),
  })
  pages.post('/users/:username/edit', { schema: { params, body: Body } }, async (request, reply) => {
    const member = memberOf(request)
    const account = await requireAccount(options, request.params)
    const path = pathOfAccount(account)
    const isSelf = account.id === member.account.id
    const name = request.body.name.trim() === '' ? account.username : request.body.name
    const email = request.body.email.trim() === '' ? null : request.body.email.trim()
    // That somebody administers at all is nobody's to end by mistake.
    const admin = isSelf ? account.admin : request.body.admin === 'yes'
    const wrong = (errors: object) =>
      reply.page('admin/edit-account', { account, path, isSelf, values: { ...request.body, admin }, errors }, 422)
    const errors = errorsIn({
      name: () => checkAccountChange({ name }),
      email: () => checkAccountChange({ email }),
    })
    if (Object.keys(errors).length > 0) return wrong(errors)
    const problem = await confirmedBy(request, options)
    if (problem !== undefined) return wrong({ current_password: problem })
    try {
      await member.stores.accounts.change(account.id, { name, email, admin })
    } catch (error) {
      if (!(error instanceof GitgateError) || error.code !== 'conflict') throw error
      return wrong({ email: problemIn(error) })
    }
    await say(member, `The account ${account.username} is changed.`)
    return reply.redirect(path, 303)
  })
}
