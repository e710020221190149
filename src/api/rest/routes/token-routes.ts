import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Account } from '../../../domain/accounts/account.js'
import { issueRules } from '../../../domain/policies/settings.js'
import { breaksRule } from '../../../core/errors.js'
import { deriveToken } from '../../../domain/tokens/derive.js'
import { tokenEntity } from '../../../domain/tokens/token.js'
import { parseSpan } from '../../../domain/tokens/expiry.js'
import type { IssuedToken } from '../../../domain/tokens/issue.js'
import { rotateToken } from '../../../domain/tokens/issue.js'
import type { PersonalAccessToken } from '../../../domain/tokens/token.js'
import { NewTokenAnswer, ProjectAnswer, TokenAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { ApiError, badRequest, forbidden, notFound, unauthorized, unprocessable } from '../api-errors.js'
import { issue, Limits, limitsOf, NewToken, tomorrow, wantedExpiry } from '../token-request.js'
import { answers, nothing } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { windowOf } from '../pagination.js'
import { Id, MinAccessLevel, Name, NullableDate, Page } from '../parameters.js'
import type { Caller } from '../caller.js'
import { requireSudoFor } from '../caller.js'
import { visibleProjects } from '../visible-projects.js'

/** Personal access tokens (GitLab's API: personal access tokens). */
export function tokenRoutes(api: Api, options: ApiOptions): void {
  const { tokens, accounts, access } = options
  const tags = ['tokens']
  const params = Type.Object({ id: Id })
  const Expiry = Type.Optional(Type.Object({ expires_at: Type.Optional(NullableDate) }))
  const Rotation = Type.Optional(
    Type.Object({
      expires_at: Type.Optional(NullableDate),
      grace: Type.Optional(
        Type.String({ maxLength: 16, description: 'how long the old secret works beside the new one: 15m, 24h, 7d' }),
      ),
    }),
  )
  const anyScope = { needs: { scopes: 'any' as const } }

  const entityOf = async (token: PersonalAccessToken) =>
    tokenEntity(token, access.now(), (await access.settings()).enforce_pat_expiration)
  const withSecret = async ({ token, secret }: IssuedToken) => ({ ...(await entityOf(token)), token: secret.reveal() })

  /** Finds a token that the caller can see. @throws ApiError as in GitLab: for others the token doesn't exist */
  const requireVisible = async ({ caller }: FastifyRequest, id: number): Promise<PersonalAccessToken> => {
    const token = await tokens.find(id)
    const isOwn = token?.userId === caller.account.id && !token.impersonation
    if (token !== undefined && (caller.account.admin || isOwn)) return token
    throw caller.account.admin ? notFound() : unauthorized()
  }

  const rotate = async (
    caller: Caller,
    old: PersonalAccessToken,
    body: { expires_at?: string | null; grace?: string } | undefined,
  ) => {
    requireSudoFor(old.scopes, caller)
    const owner = await requireOwner(options, old)
    const now = access.now()
    try {
      return await rotateToken(
        tokens,
        caller.auditContext,
        owner,
        old,
        wantedExpiry(body?.expires_at),
        issueRules(await access.settings(), now),
        now,
        body?.grace === undefined ? 0 : parseSpan(body.grace),
      )
    } catch (error) {
      if (!breaksRule(error)) throw error
      throw badRequest(error.code === 'conflict' ? 'Token already revoked' : error.message)
    }
  }

  api.get(
    '/personal_access_tokens/self',
    { schema: { summary: 'the presented token', tags, response: answers(TokenAnswer) }, config: anyScope },
    (request) => entityOf(request.caller.token),
  )

  api.get(
    '/personal_access_tokens/self/associations',
    {
      schema: {
        summary: 'what the presented token reaches',
        tags,
        querystring: Type.Object({ ...Page, min_access_level: MinAccessLevel }),
        response: answers(Type.Object({ groups: Type.Array(Type.Unknown()), projects: Type.Array(ProjectAnswer) })),
      },
      config: anyScope,
    },
    async (request) => {
      const projects = await visibleProjects(options, request.caller, request.query.min_access_level)
      const { offset, perPage } = windowOf(request.query)
      return { groups: [], projects: projects.slice(offset, offset + perPage) }
    },
  )

  api.get(
    '/personal_access_tokens/:id',
    { schema: { summary: 'one token', tags, params, response: answers(TokenAnswer) } },
    async (request) => entityOf(await requireVisible(request, request.params.id)),
  )

  api.post(
    '/personal_access_tokens/self/rotate',
    {
      schema: {
        summary: 'replace the presented token; its old secret ends',
        tags,
        body: Expiry,
        response: answers(NewTokenAnswer),
      },
    },
    async (request) => withSecret(await rotate(request.caller, request.caller.token, request.body)),
  )

  api.post(
    '/personal_access_tokens/:id/rotate',
    {
      schema: {
        summary: 'replace a token; its old secret ends',
        tags,
        params,
        body: Rotation,
        response: answers(NewTokenAnswer),
      },
    },
    async (request) => {
      const { caller, params, body } = request
      // A thief who rotates it must not go unnoticed, which they would if the owner's secret kept working.
      if (params.id === caller.token.id && body.grace !== undefined) {
        throw forbidden('A token can not rotate itself with grace')
      }
      return await withSecret(await rotate(caller, await requireVisible(request, params.id), body))
    },
  )

  api.delete(
    '/personal_access_tokens/self',
    {
      schema: { summary: 'revoke the presented token', tags, response: nothing },
      config: { needs: { scopes: 'any', takesLimited: true } },
    },
    async (request, reply) => {
      await tokens.revoke(request.caller.auditContext, request.caller.token.id, access.now())
      return await reply.status(204).send()
    },
  )

  api.delete(
    '/personal_access_tokens/:id',
    { schema: { summary: 'revoke a token', tags, params, response: nothing } },
    async (request, reply) => {
      const token = await tokens.find(request.params.id)
      if (token === undefined) throw new ApiError(404, { message: '404 Not found' })
      const { account, auditContext } = request.caller
      if (!account.admin && (token.userId !== account.id || token.impersonation)) throw badRequest()
      await tokens.revoke(auditContext, token.id, access.now())
      return await reply.status(204).send()
    },
  )

  api.post(
    '/users/:user_id/personal_access_tokens',
    {
      schema: {
        summary: 'make a token for an account (administrators)',
        tags,
        params: Type.Object({ user_id: Id }),
        body: NewToken,
        response: answers(NewTokenAnswer, 201),
      },
      config: { needs: { admin: true } },
    },
    async (request, reply) => {
      const owner = await accounts.find(request.params.user_id)
      if (owner === undefined) throw notFound('User')
      const issued = await issue(options, request.caller, owner, request.body, false)
      return await reply.status(201).send(await withSecret(issued))
    },
  )

  api.post(
    '/user/personal_access_tokens',
    {
      schema: {
        summary: 'derive a narrower token from the presented one, with which it ends',
        tags,
        body: Type.Object({
          name: Type.Optional(Name),
          description: Type.Optional(Type.Union([Name, Type.Null()])),
          expires_at: Type.Optional(NullableDate),
          scopes: Type.Array(Type.Enum(['read_repository', 'write_repository']), {
            maxItems: 50,
            description: 'what it may do',
          }),
          ...Limits,
        }),
        response: answers(NewTokenAnswer, 201),
      },
      config: { needs: { takesLimited: true } },
    },
    async (request, reply) => {
      const { account, token, auditContext } = request.caller
      const { body } = request
      if (token.userId !== account.id) throw forbidden("A token can't be derived with sudo, only by its owner")
      const now = access.now()
      const expiry = wantedExpiry(body.expires_at)
      const wish = {
        name: body.name ?? token.name,
        scopes: [...new Set(body.scopes)],
        // Like GitLab: tomorrow, unless a date is given.
        expiry: expiry instanceof Date ? expiry : tomorrow(now),
        description: body.description ?? null,
        ...limitsOf(body),
      }
      const issued = await deriveToken(
        tokens,
        auditContext,
        account,
        token,
        wish,
        issueRules(await access.settings(), now),
        now,
      )
      return await reply.status(201).send(await withSecret(issued))
    },
  )
}

async function requireOwner({ accounts }: ApiOptions, token: PersonalAccessToken): Promise<Account> {
  const owner = await accounts.find(token.userId)
  if (owner === undefined) throw unprocessable('the account of this token is gone')
  return owner
}
