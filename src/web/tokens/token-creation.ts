import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TObject } from 'typebox'
import { Type } from 'typebox'
import type { Account } from '../../domain/accounts/account.js'
import { GitgateError } from '../../core/errors.js'
import { issueRules } from '../../domain/policies/settings.js'
import { issueToken } from '../../domain/tokens/issue.js'
import { administers, ALL_SCOPES, scopeSummary } from '../../domain/tokens/scope.js'
import { requirePassword } from '../confirmation.js'
import { sentence } from '../page-errors.js'
import { isFirstSubmission, putOneTimeDisplay, flash } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { memberOf } from '../principal.js'
import { previewOf } from './preview.js'
import type { NewToken } from './one-time-token.js'
import type { FormProblems, TokenForm } from './token-form.js'
import { EMPTY_FORM, expiryEffect, expiryView, knownScopes, readTokenForm, TokenFields } from './token-form.js'

/** Whose tokens a form creates. */
export type TokenCreation = {
  /** The route of the list, which shows the new token once. The form is at `new` below it. */
  readonly route: string
  readonly params?: TObject
  /** Whether they are impersonation tokens, which need the administrator's password. */
  readonly impersonation: boolean
  /** @throws PageError */
  readonly ownerOf: (request: FastifyRequest) => Promise<Account>
  /** The path of the list of an account's tokens. */
  readonly listOf: (owner: Account) => string
  /** The name of the one-time display. */
  readonly displayOf: (owner: Account) => string
  readonly view: string
  readonly preHandler?: () => Promise<void>
}

type Shown = {
  readonly status?: number
  readonly isPreview?: boolean
  readonly failure?: string
  readonly password?: string
}

/** Adds the pages that create a token: its form, the access preview, and the submission. */
export function addTokenCreation(pages: Pages, creation: TokenCreation, options: PageOptions): void {
  const { access } = options
  const { route, impersonation, ownerOf, listOf, displayOf, view } = creation
  const [params, preHandler] = [creation.params ?? Type.Object({}), creation.preHandler ?? []]
  const Filled = Type.String({ default: '', maxLength: 1_000 })
  const Prefill = Type.Object({ name: Filled, description: Filled, scopes: Filled })

  const read = async (owner: Account, form: TokenForm) => {
    const now = access.now()
    const rules = issueRules(await access.settings(), now)
    const { draft, problems } = readTokenForm(form, owner, rules, now)
    return { draft: { ...draft, impersonation }, problems, rules, now }
  }
  const show = async (
    reply: FastifyReply,
    owner: Account,
    form: TokenForm,
    problems: FormProblems,
    { status = 200, ...shown }: Shown = {},
  ) => {
    const { draft, problems: unreadable, rules, now } = await read(owner, form)
    return reply.page(
      view,
      {
        form,
        problems,
        // In a preview, too: a limit that can't be read must not look like none.
        unreadable,
        owner,
        list: listOf(owner),
        who: phrasesFor(creation, owner),
        asksPassword: impersonation,
        // Needed for some scopes only.
        offersPassword: !impersonation && owner.admin,
        scopes: ALL_SCOPES.filter((scope) => scope !== 'sudo' || owner.admin).map((name) => ({
          name,
          summary: scopeSummary(name),
        })),
        expiry: { ...expiryView(rules, now, form), ...(await expiryEffect(options, owner)) },
        preview: await previewOf({ draft, problems: unreadable }, form, owner, options),
        ...shown,
      },
      status,
    )
  }

  pages.get(`${route}/new`, { schema: { params, querystring: Prefill }, preHandler }, async (request, reply) => {
    const { name, description, scopes } = request.query
    return show(reply, await ownerOf(request), { ...EMPTY_FORM, name, description, scopes: knownScopes(scopes) }, {})
  })

  // The access preview, with the form as submitted; and the preview alone, for the page's script.
  const schema = { params, body: TokenFields }
  pages.post(`${route}/preview`, { schema, preHandler }, async (request, reply) => {
    const owner = await ownerOf(request)
    // Fields that are still empty are no mistake yet.
    const { repositories, refs } = (await read(owner, request.body)).problems
    const problems = { ...(repositories && { repositories }), ...(refs && { refs }) }
    return show(reply, owner, request.body, problems, { isPreview: true })
  })
  pages.post(`${route}/preview/part`, { schema, preHandler }, async (request, reply) => {
    const owner = await ownerOf(request)
    const { draft, problems } = await read(owner, request.body)
    const preview = await previewOf({ draft, problems }, request.body, owner, options)
    return reply.page('parts/token-preview', { preview, problems, who: phrasesFor(creation, owner) })
  })

  const Body = Type.Object({
    ...TokenFields.properties,
    current_password: Type.String({ default: '', maxLength: 10_000 }),
  })
  pages.post(route, { schema: { params, body: Body }, preHandler }, async (request, reply) => {
    const owner = await ownerOf(request)
    const form = { ...request.body, current_password: undefined }
    const { draft, problems, rules, now } = await read(owner, form)
    if (Object.keys(problems).length > 0) return show(reply, owner, form, problems, { status: 422 })
    const isConfirmed = impersonation || administers(draft.scopes, owner)
    const password = isConfirmed ? await requirePassword(request, options) : undefined
    if (password !== undefined) return show(reply, owner, form, {}, { status: 422, password })
    if (!(await isFirstSubmission(memberOf(request), request))) {
      await flash(
        memberOf(request),
        'This form was already submitted and its token created. To create another, open a new form.',
        'bad',
      )
      return reply.redirect(listOf(owner), 303)
    }
    try {
      const { token, secret } = await issueToken(
        options.tokens,
        memberOf(request).auditContext,
        owner,
        draft,
        rules,
        now,
      )
      const created: NewToken = { id: token.id, secret: secret.reveal() }
      await putOneTimeDisplay(memberOf(request), displayOf(owner), created, now)
    } catch (error) {
      // The form itself is valid: this rule forbids any token.
      if (!(error instanceof GitgateError) || error.code !== 'forbidden') throw error
      return show(reply, owner, form, {}, { status: 422, failure: sentence(error.message) })
    }
    return reply.redirect(listOf(owner), 303)
  })
}

/** Phrases about the owner: in the second person, or by name if an administrator creates the token. */
function phrasesFor({ impersonation }: TokenCreation, { username }: Account) {
  return impersonation
    ? { can: `${username} can`, have: `${username} has`, your: `${username}’s` }
    : { can: 'you can', have: 'You have', your: 'your' }
}
