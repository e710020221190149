import { Type } from 'typebox'
import type { Account, AccountChange } from '../../../domain/accounts/account.js'
import { checkAccountChange } from '../../../domain/accounts/account.js'
import { GitgateError } from '../../../core/errors.js'
import { requirePassword } from '../../confirmation.js'
import type { FieldErrors } from '../../forms.js'
import { errorsIn, problemIn } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'

/** The fields as submitted. */
type Values = { readonly name: string; readonly email: string; readonly admin: '' | 'yes' }

/** Editing an account's name, mail address and administrator role. */
export function accountEditPages(pages: Pages, options: PageOptions): void {
  const params = NamedAccount

  pages.get('/users/:username/edit', { schema: { params } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const values = valuesOf(account)
    return reply.page('admin/edit-account', {
      ...pageDataOf(account, memberOf(request).account),
      values,
      was: values,
      errors: {},
    })
  })

  const Text = Type.String({ maxLength: 1_000 })
  const Yes = Type.Enum(['', 'yes'], { default: '' })
  const Body = Type.Object({
    name: Text,
    email: Text,
    admin: Yes,
    was_name: Text,
    was_email: Text,
    was_admin: Yes,
    current_password: Type.String(),
  })
  pages.post('/users/:username/edit', { schema: { params, body: Body } }, async (request, reply) => {
    const member = memberOf(request)
    const account = await requireAccount(options, request.params)
    const { name, email, admin, was_name, was_email, was_admin } = request.body
    const was: Values = { name: was_name, email: was_email, admin: was_admin }
    const pageData = pageDataOf(account, member.account)
    // Nobody may remove the last administrator by mistake.
    const values: Values = { name, email, admin: pageData.isSelf ? was.admin : admin }
    const wrong = (errors: FieldErrors) => reply.page('admin/edit-account', { ...pageData, values, was, errors }, 422)
    const change = changeOf(values, was, account)
    const errors = errorsIn({
      name: () => change.name !== undefined && checkAccountChange({ name: change.name }),
      email: () => change.email !== undefined && checkAccountChange({ email: change.email }),
    })
    if (Object.keys(errors).length > 0) return wrong(errors)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return wrong({ current_password: problem })
    try {
      await options.accounts.change(member.auditContext, account.id, change)
    } catch (error) {
      if (!(error instanceof GitgateError) || error.code !== 'conflict') throw error
      return wrong({ email: problemIn(error) })
    }
    const isChange = Object.keys(change).length > 0
    await flash(member, isChange ? `Account ${account.username} was changed.` : 'Nothing to change.')
    return reply.redirect(pageData.path, 303)
  })
}

function valuesOf({ name, email, admin }: Account): Values {
  return { name, email: email ?? '', admin: admin ? 'yes' : '' }
}

function pageDataOf(account: Account, member: Account) {
  return { account, path: pathOfAccount(account), isSelf: account.id === member.id }
}

/** The fields that were changed in the form. Changes that others made since it was opened stay. */
function changeOf(values: Values, was: Values, { username }: Account): AccountChange {
  const [name, email] = [values.name.trim(), values.email.trim()]
  return {
    ...(values.name === was.name ? {} : { name: name === '' ? username : values.name }),
    ...(values.email === was.email ? {} : { email: email === '' ? null : email }),
    ...(values.admin === was.admin ? {} : { admin: values.admin === 'yes' }),
  }
}
