import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import type { Account } from '../../domain/accounts/account.js'
import { TOKENS_PAGE } from '../../domain/access/refusal.js'
import { issueRules } from '../../domain/policies/settings.js'
import { parseSpan } from '../../domain/tokens/expiry.js'
import { rotateToken } from '../../domain/tokens/issue.js'
import { administers } from '../../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { breaksRule } from '../../core/errors.js'
import { requirePassword } from '../confirmation.js'
import { sentence } from '../page-errors.js'
import { putOneTimeDisplay, flash } from '../session-state.js'
import type { PageOptions } from '../web-options.js'
import type { Pages } from '../pages.js'
import { requireOwnToken, requireSwitchedOn, TokenId } from '../tokens/own-token.js'
import { recentUse } from '../tokens/recent-use.js'
import type { NewToken } from '../tokens/one-time-token.js'
import { NEW_TOKEN } from '../tokens/one-time-token.js'
import { tokenRow } from '../tokens/rows.js'
import type { ExpiryForm } from '../tokens/wanted-expiry.js'
import { ExpiryFields, expiryView, expiryEffect, wantedExpiry } from '../tokens/wanted-expiry.js'
import { memberOf } from '../principal.js'

/** How long the old secret can keep working. */
const GRACES = ['', '1h', '24h', '7d', '30d'] as const

type RotationForm = ExpiryForm & { readonly grace: (typeof GRACES)[number] }

/** Revoking and rotating a token. Each asks first, and shows what has used it. */
export function endTokenPages(pages: Pages, options: PageOptions): void {
  const { access } = options
  const preHandler = requireSwitchedOn(options)
  const Rotation = Type.Object({
    ...ExpiryFields,
    grace: Type.Enum([...GRACES], { default: '' }),
    current_password: Type.String({ default: '', maxLength: 10_000 }),
  })

  const rowOf = async (token: PersonalAccessToken) => {
    const { enforce_pat_expiration: enforceExpiry } = await access.settings()
    return tokenRow(token, access.now(), enforceExpiry)
  }
  const showRotation = async (
    reply: FastifyReply,
    token: PersonalAccessToken,
    owner: Account,
    form?: RotationForm,
    problems: { readonly expiry?: string; readonly current_password?: string } = {},
  ) => {
    const now = access.now()
    const rules = issueRules(await access.settings(), now)
    return reply.page(
      'token-rotate',
      {
        token: await rowOf(token),
        use: await recentUse(token, options),
        expiry: { ...expiryView(rules, now, form), ...(await expiryEffect(options, owner)) },
        graces: GRACES,
        grace: form?.grace ?? '',
        problems,
        asksPassword: administers(token.scopes, owner),
      },
      Object.keys(problems).length === 0 ? 200 : 422,
    )
  }
  const isOver = async (reply: FastifyReply, request: Parameters<typeof memberOf>[0], name: string) => {
    await flash(memberOf(request), `${name} was already revoked or rotated, or has expired.`, 'bad')
    return reply.redirect(TOKENS_PAGE, 303)
  }

  pages.get(`${TOKENS_PAGE}/:id/revoke`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const token = await requireOwnToken(request, request.params.id, options)
    const row = await rowOf(token)
    if (!row.canRevoke) return isOver(reply, request, token.name)
    return reply.page('token-revoke', { token: row, use: await recentUse(token, options) })
  })

  pages.post(`${TOKENS_PAGE}/:id/revoke`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const member = memberOf(request)
    const { id, name } = await requireOwnToken(request, request.params.id, options)
    const wasActive = await options.tokens.revoke(member.auditContext, id, access.now())
    await flash(member, wasActive ? `${name} was revoked.` : `${name} was already revoked.`)
    return reply.redirect(TOKENS_PAGE, 303)
  })

  pages.get(`${TOKENS_PAGE}/:id/rotate`, { schema: { params: TokenId }, preHandler }, async (request, reply) => {
    const token = await requireOwnToken(request, request.params.id, options)
    if (!(await rowOf(token)).canRotate) return isOver(reply, request, token.name)
    return showRotation(reply, token, memberOf(request).account)
  })

  pages.post(
    `${TOKENS_PAGE}/:id/rotate`,
    { schema: { params: TokenId, body: Rotation }, preHandler },
    async (request, reply) => {
      const member = memberOf(request)
      const { body, params } = request
      const old = await requireOwnToken(request, params.id, options)
      const now = access.now()
      const rules = issueRules(await access.settings(), now)
      // The new secret of a token that administers is as powerful as a new token.
      const unconfirmed = administers(old.scopes, member.account) ? await requirePassword(request, options) : undefined
      if (unconfirmed !== undefined)
        return showRotation(reply, old, member.account, body, { current_password: unconfirmed })
      const grace = body.grace === '' ? 0 : parseSpan(body.grace)
      try {
        const expiry = wantedExpiry(body, rules, now)
        const { token, secret } = await rotateToken(
          options.tokens,
          member.auditContext,
          member.account,
          old,
          expiry,
          rules,
          now,
          grace,
        )
        const endsAt = Math.min(now.getTime() + grace, old.expiresAt?.getTime() ?? Infinity)
        const made: NewToken = { id: token.id, secret: secret.reveal(), replaced: { endsAt } }
        await putOneTimeDisplay(member, NEW_TOKEN, made, now)
      } catch (error) {
        if (!breaksRule(error)) throw error
        if (error.code === 'conflict') return isOver(reply, request, old.name)
        return showRotation(reply, old, member.account, body, { expiry: sentence(error.message) })
      }
      return reply.redirect(TOKENS_PAGE, 303)
    },
  )
}
