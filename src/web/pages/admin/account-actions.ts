import { Type } from 'typebox'
import type { FastifyReply } from 'fastify'
import type { AuditContext } from '../../../domain/audit/event.js'
import type { Account } from '../../../domain/accounts/account.js'
import { GitgateError } from '../../../core/errors.js'
import { checkPassword } from '../../../domain/policies/password-use.js'
import { Secret } from '../../../core/secret.js'
import { requirePassword } from '../../confirmation.js'
import { errorsIn } from '../../forms.js'
import type { FieldErrors } from '../../forms.js'
import { flash } from '../../session-state.js'
import type { PageOptions } from '../../web-options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../principal.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'

type AccountAction = {
  readonly heading: (username: string) => string
  /** What it does. */
  readonly lead: string
  readonly button: string
  readonly isDangerous: boolean
  /** The fields beside the button. */
  readonly asks: 'nothing' | 'the username' | 'the own password'
  /** The refusal to do it to one's own account; `undefined` if that does no harm. */
  readonly notToOneself: string | undefined
  readonly act: (options: PageOptions, context: AuditContext, account: Account) => Promise<void>
  readonly done: (username: string) => string
}

const ACCOUNT_ACTIONS = {
  block: {
    heading: (username) => `Block ${username}?`,
    lead: 'Its password and tokens stop working immediately, its sessions end and its running transfers are cut off. Nothing is deleted, and you can unblock the account later.',
    button: 'Block account',
    isDangerous: true,
    asks: 'nothing',
    notToOneself: 'you can’t block your own account; another administrator can',
    act: ({ accounts }, context, account) => accounts.setState(context, account.id, 'blocked'),
    done: (username) => `${username} was blocked.`,
  },
  unblock: {
    heading: (username) => `Unblock ${username}?`,
    lead: 'Its password and its unexpired tokens work again immediately.',
    button: 'Unblock account',
    isDangerous: false,
    asks: 'nothing',
    notToOneself: undefined,
    act: ({ accounts }, context, account) => accounts.setState(context, account.id, 'active'),
    done: (username) => `${username} was unblocked.`,
  },
  reset_two_factor: {
    heading: (username) => `Turn off two-factor authentication for ${username}?`,
    lead: 'Do this if the owner has lost their phone. It deletes the secret and the recovery codes and ends the account’s sessions; signing in will take only the password. Make sure that the request comes from the owner.',
    button: 'Turn off',
    isDangerous: true,
    asks: 'the own password',
    notToOneself: 'turn off your own second factor under Two-factor authentication',
    act: ({ twoFactors }, context, account) => twoFactors.disable(context, account.id),
    done: (username) => `Two-factor authentication is off for ${username}.`,
  },
  delete: {
    heading: (username) => `Delete ${username}?`,
    lead: 'This deletes the account, its tokens and its grants, and can’t be undone. Its repositories and the audit log stay. To keep somebody out for a while, block the account instead.',
    button: 'Delete account',
    isDangerous: true,
    asks: 'the username',
    notToOneself: 'you can’t delete your own account; another administrator can',
    act: ({ accounts }, context, account) => accounts.remove(context, account),
    done: (username) => `${username} was deleted. Repositories under ${username}/ were kept.`,
  },
} as const satisfies Readonly<Record<string, AccountAction>>

const ActPath = Type.Object({
  ...NamedAccount.properties,
  act: Type.Enum(Object.keys(ACCOUNT_ACTIONS) as (keyof typeof ACCOUNT_ACTIONS)[]),
})

/** What administrators do to accounts, each on a page that explains it and asks. */
export function accountActionPages(pages: Pages, options: PageOptions): void {
  const { access, passwords } = options

  pages.get('/users/:username/:act', { schema: { params: ActPath } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const act: AccountAction = ACCOUNT_ACTIONS[request.params.act]
    refuseToOneself(account, memberOf(request).account, act.notToOneself)
    return ask(reply, account, request.params.act, {})
  })

  const Body = Type.Object({
    username: Type.Optional(Type.String({ maxLength: 1_000 })),
    current_password: Type.String({ default: '' }),
  })
  pages.post('/users/:username/:act', { schema: { params: ActPath, body: Body } }, async (request, reply) => {
    const member = memberOf(request)
    const account = await requireAccount(options, request.params)
    const act: AccountAction = ACCOUNT_ACTIONS[request.params.act]
    refuseToOneself(account, member.account, act.notToOneself)
    if (act.asks === 'the username' && request.body.username !== account.username)
      return ask(reply, account, request.params.act, { username: `Type ${account.username} exactly as shown.` })
    const problem = act.asks === 'the own password' ? await requirePassword(request, options) : undefined
    if (problem !== undefined) return ask(reply, account, request.params.act, { current_password: problem })
    await act.act(options, member.auditContext, account)
    await flash(member, act.done(account.username))
    return reply.redirect(request.params.act === 'delete' ? '/-/admin/users' : pathOfAccount(account), 303)
  })

  const askPassword = (reply: FastifyReply, account: Account, errors: FieldErrors, status = 200) =>
    reply.page('admin/set-password', { account, path: pathOfAccount(account), errors }, status)
  const params = NamedAccount
  pages.get('/users/:username/password', { schema: { params } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    if (account.id === memberOf(request).account.id) return reply.redirect('/-/user_settings/password', 303)
    return askPassword(reply, account, {})
  })

  const NewPassword = Type.Object({ password: Type.String(), current_password: Type.String() })
  pages.post('/users/:username/password', { schema: { params, body: NewPassword } }, async (request, reply) => {
    const member = memberOf(request)
    const account = await requireAccount(options, request.params)
    refuseToOneself(account, member.account, 'change your own password under Password')
    const password = new Secret(request.body.password, 'password')
    const settings = await access.settings()
    const errors = errorsIn({ password: () => checkPassword(password, account, settings) })
    if (Object.keys(errors).length > 0) return askPassword(reply, account, errors, 422)
    const problem = await requirePassword(request, options)
    if (problem !== undefined) return askPassword(reply, account, { current_password: problem }, 422)
    await options.accounts.setPasswordHash(member.auditContext, account.id, await passwords.hash(password))
    await flash(member, `The password of ${account.username} was set, and its sessions have ended.`)
    return reply.redirect(pathOfAccount(account), 303)
  })
}

function ask(reply: FastifyReply, account: Account, name: keyof typeof ACCOUNT_ACTIONS, errors: FieldErrors) {
  const act: AccountAction = ACCOUNT_ACTIONS[name]
  const status = Object.keys(errors).length === 0 ? 200 : 422
  const path = pathOfAccount(account)
  return reply.page(
    'admin/account-act',
    { account, act, heading: act.heading(account.username), action: `${path}/${name}`, cancel: path, errors },
    status,
  )
}

/** @throws GitgateError `forbidden` if administrators would lock themselves out or bypass their own protection */
function refuseToOneself(account: Account, member: Account, reason: string | undefined): void {
  if (account.id === member.id && reason !== undefined) throw new GitgateError('forbidden', reason)
}
