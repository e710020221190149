import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Account } from '../../../accounts/account.js'
import { GitgateError } from '../../../errors.js'
import { issueRules } from '../../../policies/issue-rules.js'
import { parseExpiryDate } from '../../../tokens/expiry.js'
import { issueToken } from '../../../tokens/issue.js'
import { parseRestrictions } from '../../../tokens/restriction.js'
import { ALL_SCOPES, scopeSummary } from '../../../tokens/scope.js'
import type { PersonalAccessToken } from '../../../tokens/token.js'
import { confirmedBy } from '../../confirmation.js'
import { PageError } from '../../errors.js'
import type { FieldErrors } from '../../forms.js'
import { errorsIn, problemIn } from '../../forms.js'
import { passOnce, say, takeOnce } from '../../memo.js'
import type { PageOptions } from '../../options.js'
import { pagerOf, windowOf } from '../../pager.js'
import type { Pages } from '../../pages.js'
import { PagedList } from '../../queries.js'
import { tokenRow } from '../../tokens/rows.js'
import { memberOf } from '../../visitor.js'
import { NamedAccount, pathOfAccount, requireAccount } from './account-path.js'
import { factsOf } from './token-facts.js'

const PER_PAGE = 20

/** Impersonation tokens: an administrator acts as an account, which does not see them. */
export function impersonationPages(pages: Pages, options: PageOptions): void {
  const { tokens, access } = options

  const show = async (request: FastifyRequest, reply: FastifyReply, account: Account, page: number, form: Form) => {
    const member = memberOf(request)
    const [now, settings] = [access.now(), await access.settings()]
    const window = windowOf({ page }, PER_PAGE)
    const found = await tokens.search(
      { ...window, userId: account.id, impersonation: true },
      now,
      settings.enforce_pat_expiration,
    )
    return reply.page(
      'admin/impersonation-tokens',
      {
        account,
        path: tokensPath(account),
        made: await takeOnce<Made>(member, onceOf(account), now),
        tokens: found.tokens.map((token) => tokenRow(token, now, settings.enforce_pat_expiration)),
        pager: pagerOf(window, found.total, request.url),
        // The scope sudo is for administrators.
        scopes: ALL_SCOPES.filter((scope) => scope !== 'sudo' || account.admin).map((name) => ({
          name,
          summary: scopeSummary(name),
        })),
        isOff: !settings.impersonation_enabled,
        ...form,
      },
      Object.keys(form.errors).length === 0 ? 200 : 422,
    )
  }

  const params = NamedAccount
  const path = '/users/:username/impersonation_tokens'
  pages.get(path, { schema: { params, querystring: Type.Object(PagedList) } }, async (request, reply) => {
    const account = await requireAccount(options, request.params)
    return show(request, reply, account, request.query.page ?? 1, { values: NO_VALUES, errors: {} })
  })

  const Text = Type.String({ maxLength: 10_000, default: '' })
  const NewToken = Type.Object({
    name: Text,
    description: Text,
    expires_at: Text,
    scopes: Type.Array(Type.Enum([...ALL_SCOPES]), { default: [], maxItems: 50 }),
    repositories: Text,
    refs: Text,
    current_password: Text,
  })
  pages.post(path, { schema: { params, body: NewToken } }, async (request, reply) => {
    const member = memberOf(request)
    const account = await requireAccount(options, request.params)
    const values = { ...request.body, current_password: '' }
    const wrong = (errors: FieldErrors) => show(request, reply, account, 1, { values, errors })
    const errors = errorsIn({
      expires_at: () => values.expires_at !== '' && parseExpiryDate(values.expires_at),
      repositories: () => parseRestrictions(wordsOf(values.repositories), []),
      refs: () => parseRestrictions([], wordsOf(values.refs)),
    })
    if (Object.keys(errors).length > 0) return wrong(errors)
    const problem = await confirmedBy(request, options)
    if (problem !== undefined) return wrong({ current_password: problem })
    const now = access.now()
    const draft = {
      name: values.name.trim(),
      description: values.description.trim() === '' ? null : values.description.trim(),
      scopes: ALL_SCOPES.filter((scope) => values.scopes.includes(scope)),
      restrictions: parseRestrictions(wordsOf(values.repositories), wordsOf(values.refs)),
      expiry: values.expires_at === '' ? undefined : parseExpiryDate(values.expires_at),
      impersonation: true,
    }
    try {
      const rules = issueRules(await access.settings(), now)
      const { token, secret } = await issueToken(member.stores.tokens, account, draft, rules, now)
      const made: Made = { id: token.id, name: token.name, secret: secret.reveal() }
      await passOnce(member, onceOf(account), made, now)
    } catch (error) {
      if (!(error instanceof GitgateError)) throw error
      return wrong({ [fieldOf(error)]: problemIn(error) })
    }
    return reply.redirect(tokensPath(account), 303)
  })

  const TokenPath = Type.Object({
    ...NamedAccount.properties,
    id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  })
  pages.get(`${path}/:id/revoke`, { schema: { params: TokenPath } }, async (request, reply) => {
    const { account, token } = await requireToken(request.params)
    return reply.page('admin/confirm', {
      place: 'accounts',
      heading: `Revoke the token “${token.name}”?`,
      lead: 'For good, from the next request on; transfers that are running with it are cut off.',
      facts: factsOf(token, account.username),
      action: `${tokensPath(account)}/${token.id}/revoke`,
      hidden: [],
      button: 'Revoke the token',
      cancel: tokensPath(account),
    })
  })

  pages.post(`${path}/:id/revoke`, { schema: { params: TokenPath } }, async (request, reply) => {
    const member = memberOf(request)
    const { account, token } = await requireToken(request.params)
    await member.stores.tokens.revoke(token.id, access.now())
    await say(member, `Token ${token.id}, “${token.name}”, is revoked.`)
    return reply.redirect(tokensPath(account), 303)
  })

  const requireToken = async (asked: Type.Static<typeof TokenPath>) => {
    const account = await requireAccount(options, asked)
    const token: PersonalAccessToken | undefined = await tokens.find(asked.id)
    // Of another account, or one of the account's own, it is as if there were none.
    if (token?.userId !== account.id || !token.impersonation) throw new PageError('not-found')
    return { account, token }
  }
}

type Made = { readonly id: number; readonly name: string; readonly secret: string }
type Form = { readonly values: Readonly<Record<string, string | readonly string[]>>; readonly errors: FieldErrors }

const NO_VALUES = { name: '', description: '', expires_at: '', scopes: [], repositories: '', refs: '' }

function tokensPath(account: Account): string {
  return `${pathOfAccount(account)}/impersonation_tokens`
}

function onceOf({ id }: Account): string {
  return `impersonation token of ${id}`
}

/** Patterns as they are typed: with blanks between, since the verbs of a ref have commas. */
function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

/** The field that a rule about a new token is about. */
function fieldOf({ message }: GitgateError): string {
  if (message.includes('scope')) return 'scopes'
  if (message.includes('description')) return 'description'
  return /expire|begun already/.test(message) ? 'expires_at' : 'name'
}
