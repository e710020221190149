import { Type } from 'typebox'
import type { Account } from '../../../domain/accounts/account.js'
import { tokenEntity } from '../../../domain/tokens/token.js'
import type { PersonalAccessToken } from '../../../domain/tokens/token.js'
import { breaksRule } from '../../../core/errors.js'
import { NewTokenAnswer, TokenAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { ApiError, invalidField, notFound } from '../api-errors.js'
import { issue, NewToken } from '../token-request.js'
import { answers, listOf, nothing } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { paginate, windowOf } from '../pagination.js'
import { Id, Page } from '../parameters.js'

/** Impersonation tokens let an administrator act as an account, which doesn't see them (GitLab's API: users). */
export function impersonationRoutes(api: Api, options: ApiOptions): void {
  const { tokens, accounts, access, baseUrl } = options
  const config = { needs: { admin: true } }
  const params = Type.Object({ user_id: Id, impersonation_token_id: Id })
  const ofUser = Type.Object({ user_id: Id })
  const tags = ['impersonation']

  const requireUser = async (id: number): Promise<Account> => {
    const account = await accounts.find(id)
    if (account === undefined) throw notFound('User')
    return account
  }
  const requireToken = async (userId: number, id: number): Promise<PersonalAccessToken> => {
    await requireUser(userId)
    const token = await tokens.find(id)
    if (token === undefined || token.userId !== userId || !token.impersonation) throw notFound('Impersonation Token')
    return token
  }
  const entityOf = async (token: PersonalAccessToken) =>
    tokenEntity(token, access.now(), (await access.settings()).enforce_pat_expiration)

  api.get(
    '/users/:user_id/impersonation_tokens',
    {
      schema: {
        summary: 'list the impersonation tokens of an account (administrators)',
        tags,
        params: ofUser,
        querystring: Type.Object({
          ...Page,
          state: Type.Optional(Type.Enum(['all', 'active', 'inactive'], { description: 'all by default' })),
        }),
        response: answers(listOf(TokenAnswer)),
      },
      config,
    },
    async (request, reply) => {
      const { id } = await requireUser(request.params.user_id)
      const { state = 'all' } = request.query
      const entities = await Promise.all((await tokens.list({ userId: id })).map(entityOf))
      const wanted = entities.filter(
        ({ impersonation, active }) => impersonation && (state === 'all' || active === (state === 'active')),
      )
      return paginate(wanted, windowOf(request.query), request, reply, baseUrl())
    },
  )

  api.post(
    '/users/:user_id/impersonation_tokens',
    {
      schema: {
        summary: 'make an impersonation token (administrators)',
        tags,
        params: ofUser,
        body: NewToken,
        response: answers(NewTokenAnswer, 201),
      },
      config,
    },
    async (request, reply) => {
      const owner = await requireUser(request.params.user_id)
      try {
        const { token, secret } = await issue(options, request.caller, owner, request.body, true)
        return await reply.status(201).send({ ...(await entityOf(token)), token: secret.reveal() })
      } catch (error) {
        throw breaksRule(error) ? invalidField(error.field ?? 'base', error.message) : error
      }
    },
  )

  api.get(
    '/users/:user_id/impersonation_tokens/:impersonation_token_id',
    {
      schema: { summary: 'one impersonation token (administrators)', tags, params, response: answers(TokenAnswer) },
      config,
    },
    async (request) => entityOf(await requireToken(request.params.user_id, request.params.impersonation_token_id)),
  )

  api.delete(
    '/users/:user_id/impersonation_tokens/:impersonation_token_id',
    { schema: { summary: 'revoke an impersonation token (administrators)', tags, params, response: nothing }, config },
    async (request, reply) => {
      const token = await requireToken(request.params.user_id, request.params.impersonation_token_id)
      const since = request.headers['if-unmodified-since']
      const changed = (token.revokedAt ?? token.createdAt).getTime()
      if (since !== undefined && Math.floor(changed / 1_000) * 1_000 > Date.parse(since)) {
        throw new ApiError(412, { message: '412 Precondition Failed' })
      }
      await options.tokens.revoke(request.caller.auditContext, token.id, access.now())
      return await reply.status(204).send()
    },
  )
}
