import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { TOKENS_PAGE } from '../../access/refusal.js'
import { issueRules } from '../../policies/issue-rules.js'
import { issueToken } from '../../tokens/issue.js'
import { ALL_SCOPES, scopeSummary } from '../../tokens/scope.js'
import { passOnce } from '../memo.js'
import type { PageOptions } from '../options.js'
import type { Pages } from '../pages.js'
import { requireSwitchedOn } from '../tokens/own-token.js'
import { previewOf } from '../tokens/preview.js'
import type { MadeToken } from '../tokens/reveal.js'
import { MADE } from '../tokens/reveal.js'
import type { FormProblems, TokenForm } from '../tokens/token-form.js'
import { EMPTY_FORM, knownScopes, readTokenForm, TokenFields } from '../tokens/token-form.js'
import { expiryView } from '../tokens/wanted-expiry.js'
import type { Member } from '../visitor.js'
import { memberOf } from '../visitor.js'

/** Making a token: its form, what it would match, and the token itself. */
export function newTokenPages(pages: Pages, options: PageOptions): void {
  const { access } = options
  const preHandler = requireSwitchedOn(options)
  const Filled = Type.String({ default: '', maxLength: 1_000 })
  const Prefill = Type.Object({ name: Filled, description: Filled, scopes: Filled })

  const read = async ({ account }: Member, form: TokenForm) => {
    const now = access.now()
    const rules = issueRules(await access.settings(), now)
    return { ...readTokenForm(form, account, rules, now), rules, now }
  }
  const show = async (
    reply: FastifyReply,
    member: Member,
    form: TokenForm,
    problems: FormProblems,
    { status = 200, isPreview = false } = {},
  ) => {
    const { draft, problems: all, rules, now } = await read(member, form)
    return reply.page(
      'token-new',
      {
        form,
        problems,
        // Before anything was sent, too: what can't be read must not look like no limit.
        unreadable: all,
        isPreview,
        scopes: ALL_SCOPES.filter((scope) => scope !== 'sudo' || member.account.admin).map((name) => ({
          name,
          summary: scopeSummary(name),
        })),
        expiry: expiryView(rules, now, form),
        preview: await previewOf({ draft, problems: all }, form, member.account, options),
      },
      status,
    )
  }

  pages.get(`${TOKENS_PAGE}/new`, { schema: { querystring: Prefill }, preHandler }, (request, reply) => {
    const { name, description, scopes } = request.query
    return show(reply, memberOf(request), { ...EMPTY_FORM, name, description, scopes: knownScopes(scopes) }, {})
  })

  // What would match, beside the form as it was sent; and that part alone, for the page's script.
  pages.post(`${TOKENS_PAGE}/preview`, { schema: { body: TokenFields }, preHandler }, async (request, reply) => {
    const member = memberOf(request)
    const { problems } = await read(member, request.body)
    // What is still to be filled in is no mistake yet.
    const { repositories, refs } = problems
    return show(
      reply,
      member,
      request.body,
      { ...(repositories && { repositories }), ...(refs && { refs }) },
      { isPreview: true },
    )
  })
  pages.post(`${TOKENS_PAGE}/preview/part`, { schema: { body: TokenFields }, preHandler }, async (request, reply) => {
    const member = memberOf(request)
    const { draft, problems } = await read(member, request.body)
    const preview = await previewOf({ draft, problems }, request.body, member.account, options)
    return reply.page('parts/token-preview', { preview, problems })
  })

  pages.post(TOKENS_PAGE, { schema: { body: TokenFields }, preHandler }, async (request, reply) => {
    const member = memberOf(request)
    const { draft, problems, rules, now } = await read(member, request.body)
    if (Object.keys(problems).length > 0) return show(reply, member, request.body, problems, { status: 422 })
    const { token, secret } = await issueToken(member.stores.tokens, member.account, draft, rules, now)
    const made: MadeToken = { id: token.id, secret: secret.reveal() }
    await passOnce(member, MADE, made, now)
    return reply.redirect(TOKENS_PAGE, 303)
  })
}
