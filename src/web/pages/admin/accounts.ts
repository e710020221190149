import { Type } from 'typebox'
import type { Account, AccountQuery } from '../../../domain/accounts/account.js'
import { checkAccountChange, checkUsername, refuseNameOfGroup } from '../../../domain/accounts/account.js'
import { GitgateError } from '../../../core/errors.js'
import { checkPassword } from '../../../domain/policies/password-use.js'
import { isNameOfGroup } from '../../../protocol/repository-path.js'
import { Secret } from '../../../core/secret.js'
import { requirePassword } from '../../confirmation.js'
import { errorsIn, problemIn } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import { SearchedList, pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'

const PER_PAGE = 50

/** The list of accounts, each account, and adding one. */
export function accountPages(pages: Pages, options: PageOptions): void {
  const { accounts, tokens, sessions, twoFactors, passwords, access, listRepositories } = options

  const Query = Type.Object({
    ...SearchedList,
    state: Type.Optional(Type.Enum(['', 'active', 'blocked'])),
    two_factor: Type.Optional(Type.Enum(['', 'on', 'off'])),
    kind: Type.Optional(Type.Enum(['', 'administrators', 'others'])),
  })
  pages.get('/users', { schema: { querystring: Query } }, async (request, reply) => {
    const window = windowOf(request.query, PER_PAGE)
    const { search = '', state = '', two_factor: twoFactor = '', kind = '' } = request.query
    const query: AccountQuery = {
      ...window,
      ...(search.trim() === '' ? {} : { search: search.trim() }),
      ...(state === '' ? {} : { state }),
      ...(twoFactor === '' ? {} : { twoFactorEnabled: twoFactor === 'on' }),
      ...(kind === '' ? {} : { admin: kind === 'administrators' }),
    }
    const found = await accounts.search(query)
    return reply.page('admin/accounts', {
      accounts: found.accounts,
      pager: pagerOf(window, found.total, request.url),
      filters: { search, state, twoFactor, kind },
    })
  })

  const noValues = { username: '', name: '', email: '', admin: false }
  pages.get('/new_user', (_request, reply) => reply.page('admin/new-account', { values: noValues, errors: {} }))

  const Text = Type.String({ maxLength: 1_000 })
  const NewAccount = Type.Object({
    username: Text,
    name: Text,
    email: Text,
    password: Text,
    admin: Type.Optional(Type.Literal('yes')),
    current_password: Type.String(),
  })
  pages.post('/users', { schema: { body: NewAccount } }, async (request, reply) => {
    const { password: typed, admin, ...body } = request.body
    const username = body.username.trim()
    const name = body.name.trim() === '' ? username : body.name
    const email = body.email.trim() === '' ? null : body.email.trim()
    const values = { ...body, admin: admin === 'yes' }
    const wrong = (errors: object) => reply.page('admin/new-account', { values, errors }, 422)
    const password = typed === '' ? undefined : new Secret(typed, 'password')
    const settings = await access.settings()
    const repositories = await listRepositories()
    const errors = errorsIn({
      username: () => {
        checkUsername(username)
        refuseNameOfGroup(username, isNameOfGroup(username, repositories))
      },
      name: () => checkAccountChange({ name }),
      email: () => checkAccountChange({ email }),
      password: () => password && checkPassword(password, { username, email }, settings),
    })
    if (Object.keys(errors).length > 0) return wrong(errors)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return wrong({ current_password: problem })
    const passwordHash = password === undefined ? null : await passwords.hash(password)
    const member = memberOf(request)
    try {
      await options.accounts.add(
        member.auditContext,
        { username, name, email, admin: values.admin, passwordHash },
        access.now(),
      )
    } catch (error) {
      if (!(error instanceof GitgateError) || error.code !== 'conflict') throw error
      return wrong({ [error.field ?? 'username']: problemIn(error) })
    }
    await flash(member, `Account ${username} was created.`)
    return reply.redirect(pathOfAccount({ username }), 303)
  })

  pages.get('/users/:username', { schema: { params: NamedAccount } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const { enforce_pat_expiration: enforceExpiry } = await access.settings()
    const { total } = await tokens.search(
      { userId: account.id, state: 'active', offset: 0, limit: 0 },
      access.now(),
      enforceExpiry,
    )
    return reply.page('admin/account', {
      account,
      path: pathOfAccount(account),
      isSelf: isSelf(account, memberOf(request).account),
      sessions: (await sessions.list(account.id)).length,
      recoveryCodes: (await twoFactors.find(account.id))?.recoveryCodes.length ?? 0,
      activeTokens: total,
    })
  })
}

function isSelf(account: Account, member: Account): boolean {
  return account.id === member.id
}
