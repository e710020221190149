import { Type } from 'typebox'
import type { FastifyReply } from 'fastify'
import type { Account } from '../../../domain/accounts/account.js'
import { GitgateError } from '../../../core/errors.js'
import { checkPassword } from '../../../domain/policies/password-use.js'
import { Secret } from '../../../core/secret.js'
import { confirmedBy } from '../../confirmation.js'
import { errorsIn } from '../../forms.js'
import type { FieldErrors } from '../../forms.js'
import { say } from '../../memo.js'
import type { PageOptions, WebStores } from '../../options.js'
import type { Pages } from '../../pages.js'
import { memberOf } from '../../visitor.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'

type Act = {
  readonly heading: (username: string) => string
  /** What it means. */
  readonly lead: string
  readonly button: string
  readonly isDangerous: boolean
  /** What is asked for beside the button. */
  readonly asks: 'nothing' | 'the username' | 'the own password'
  /** What is said where one would do it to oneself; `undefined`: that is no harm. */
  readonly notToOneself: string | undefined
  readonly act: (stores: WebStores, account: Account) => Promise<void>
  readonly done: (username: string) => string
}

const ACTS = {
  block: {
    heading: (username) => `Block ${username}?`,
    lead: 'From the next request on, everything that the account does is refused: its password, its tokens, and transfers that are running. Its sessions end. Nothing is deleted, and a block can be lifted.',
    button: 'Block the account',
    isDangerous: true,
    asks: 'nothing',
    notToOneself: 'you would lock yourself out; let another administrator block your account',
    act: (stores, account) => stores.accounts.setState(account.id, 'blocked'),
    done: (username) => `${username} is blocked.`,
  },
  unblock: {
    heading: (username) => `Lift the block of ${username}?`,
    lead: 'Its password and its tokens work again from the next request on, so far as they have not expired.',
    button: 'Lift the block',
    isDangerous: false,
    asks: 'nothing',
    notToOneself: undefined,
    act: (stores, account) => stores.accounts.setState(account.id, 'active'),
    done: (username) => `${username} is active.`,
  },
  reset_two_factor: {
    heading: (username) => `Switch the second factor of ${username} off?`,
    lead: 'For a lost telephone. The secret and the recovery codes are forgotten, and the account’s sessions end; signing in then takes the password alone. Be sure that it is its owner who asks.',
    button: 'Switch it off',
    isDangerous: true,
    asks: 'the own password',
    notToOneself: 'your own second factor is switched off under Two-factor authentication',
    act: (stores, account) => stores.twoFactors.disable(account.id),
    done: (username) => `Two-factor authentication of ${username} is off.`,
  },
  delete: {
    heading: (username) => `Delete ${username}?`,
    lead: 'For good: the account, its tokens and the grants to its name. Its repositories and the audit trail stay. To keep somebody out for a while, block the account instead.',
    button: 'Delete the account',
    isDangerous: true,
    asks: 'the username',
    notToOneself: 'you would lock yourself out; let another administrator delete your account',
    act: (stores, account) => stores.accounts.remove(account),
    done: (username) => `${username} is deleted. Repositories under ${username}/ were left.`,
  },
} as const satisfies Readonly<Record<string, Act>>

const ActPath = Type.Object({ ...NamedAccount.properties, act: Type.Enum(Object.keys(ACTS) as (keyof typeof ACTS)[]) })

/** What administrators do to accounts: each on a page that says what it means, and asks. */
export function accountActs(pages: Pages, options: PageOptions): void {
  const { access, passwords } = options

  pages.get('/users/:username/:act', { schema: { params: ActPath } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    const act: Act = ACTS[request.params.act]
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
    const act: Act = ACTS[request.params.act]
    refuseToOneself(account, member.account, act.notToOneself)
    if (act.asks === 'the username' && request.body.username !== account.username)
      return ask(reply, account, request.params.act, { username: `Type ${account.username}, in the same letters.` })
    const problem = act.asks === 'the own password' ? await confirmedBy(request, options) : undefined
    if (problem !== undefined) return ask(reply, account, request.params.act, { current_password: problem })
    await act.act(member.stores, account)
    await say(member, act.done(account.username))
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
    refuseToOneself(account, member.account, 'your own password is changed under Password')
    const password = new Secret(request.body.password, 'password')
    const settings = await access.settings()
    const errors = errorsIn({ password: () => checkPassword(password, account, settings) })
    if (Object.keys(errors).length > 0) return askPassword(reply, account, errors, 422)
    const problem = await confirmedBy(request, options)
    if (problem !== undefined) return askPassword(reply, account, { current_password: problem }, 422)
    await member.stores.accounts.setPasswordHash(account.id, await passwords.hash(password))
    await say(member, `The password of ${account.username} is set, and its sessions have ended.`)
    return reply.redirect(pathOfAccount(account), 303)
  })
}

function ask(reply: FastifyReply, account: Account, name: keyof typeof ACTS, errors: FieldErrors) {
  const act: Act = ACTS[name]
  const status = Object.keys(errors).length === 0 ? 200 : 422
  const path = pathOfAccount(account)
  return reply.page(
    'admin/account-act',
    { account, act, heading: act.heading(account.username), action: `${path}/${name}`, cancel: path, errors },
    status,
  )
}

/** @throws GitgateError `forbidden` where an administrator would lock themselves out, or get past what protects them */
function refuseToOneself(account: Account, member: Account, reason: string | undefined): void {
  if (account.id === member.id && reason !== undefined) throw new GitgateError('forbidden', reason)
}
