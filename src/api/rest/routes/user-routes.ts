import { Type } from 'typebox'
import type { Account } from '../../../domain/accounts/account.js'
import { checkDisplayName, checkEmail, checkUsername, refuseNameOfGroup } from '../../../domain/accounts/account.js'
import { GitgateError } from '../../../core/errors.js'
import { checkPassword } from '../../../domain/policies/password-use.js'
import { isNameOfGroup } from '../../../protocol/repository-path.js'
import { Secret } from '../../../core/secret.js'
import { UserAnswer } from '../response-schemas.js'
import type { Api } from '../api.js'
import { fullUserEntity, userEntity } from '../entities.js'
import { ApiError, invalidField, notFound } from '../api-errors.js'
import { answers, listOf } from '../openapi.js'
import type { ApiOptions } from '../api-options.js'
import { paginate, windowOf } from '../pagination.js'
import { Id, Name, Page } from '../parameters.js'

/** Accounts: all accounts can list them, administrators create and block them. */
export function userRoutes(api: Api, options: ApiOptions): void {
  const { accounts, baseUrl } = options
  const tags = ['users']
  const params = Type.Object({ id: Id })
  const text = (description: string) => Type.Optional(Type.String({ maxLength: 1_000, description }))
  const flag = (description: string) => Type.Optional(Type.Boolean({ description }))
  const readers = { needs: { scopes: ['read_user', 'api', 'read_api'] as const } }
  const admin = { needs: { admin: true } }
  const entityFor = (viewer: Account, account: Account) =>
    viewer.admin || viewer.id === account.id
      ? fullUserEntity(account, viewer, baseUrl())
      : userEntity(account, baseUrl())

  api.get(
    '/user',
    { schema: { summary: 'the account of the token', tags, response: answers(UserAnswer) }, config: readers },
    (request) => fullUserEntity(request.caller.account, request.caller.account, baseUrl()),
  )

  api.get(
    '/users',
    {
      schema: {
        summary: 'list accounts',
        tags,
        response: answers(listOf(UserAnswer)),
        querystring: Type.Object({
          ...Page,
          username: text('the whole username'),
          search: text('a part of a name; for administrators also a whole address'),
          active: flag('only those that are not blocked'),
          blocked: flag('only those that are'),
        }),
      },
      config: readers,
    },
    async (request, reply) => {
      const { username, search, active, blocked } = request.query
      const wanted = (await accounts.list())
        .filter((account) => username === undefined || account.username.toLowerCase() === username.toLowerCase())
        .filter((account) => search === undefined || isFound(account, search.toLowerCase(), request.caller.account))
        .filter(({ state }) => active !== true || state === 'active')
        .filter(({ state }) => blocked !== true || state === 'blocked')
        .sort((one, other) => other.id - one.id)
      const page = paginate(wanted, windowOf(request.query), request, reply, baseUrl())
      return page.map((account) => entityFor(request.caller.account, account))
    },
  )

  api.get(
    '/users/:id',
    {
      schema: { summary: 'one account', tags, params, response: answers(UserAnswer) },
      config: readers,
    },
    async (request) => {
      const account = await accounts.find(request.params.id)
      if (account === undefined) throw notFound('User')
      return entityFor(request.caller.account, account)
    },
  )

  const NewUser = Type.Object({
    username: Name,
    name: text('what people call it; the username by default'),
    email: text('an address of its own'),
    password: text('without one, only tokens work'),
    admin: flag('whether it is an administrator'),
  })
  api.post(
    '/users',
    {
      schema: { summary: 'add an account (administrators)', tags, body: NewUser, response: answers(UserAnswer, 201) },
      config: admin,
    },
    async (request, reply) => {
      const { username, name = username, email = null, password, admin: isAdmin = false } = request.body
      const repositories = await options.listRepositories()
      const secret = password === undefined ? null : new Secret(password, 'password')
      const settings = await options.access.settings()
      try {
        checkUsername(username)
        refuseNameOfGroup(username, isNameOfGroup(username, repositories))
        checkDisplayName(name, 'name')
        if (email !== null) checkEmail(email)
        if (secret !== null) checkPassword(secret, { username, email }, settings)
      } catch (error) {
        throw error instanceof GitgateError ? invalidField(error.field ?? 'base', error.message) : error
      }
      const passwordHash = secret === null ? null : await options.passwords.hash(secret)
      try {
        const account = await options.accounts.add(
          request.caller.auditContext,
          { username, name, email, admin: isAdmin, passwordHash },
          options.access.now(),
        )
        return await reply.status(201).send(fullUserEntity(account, request.caller.account, baseUrl()))
      } catch (error) {
        if (!(error instanceof GitgateError && error.code === 'conflict')) throw error
        const what = error.field === 'email' ? 'Email' : 'Username'
        throw new ApiError(409, { message: `${what} has already been taken` })
      }
    },
  )

  for (const [action, state] of [
    ['block', 'blocked'],
    ['unblock', 'active'],
  ] as const) {
    api.post(
      `/users/:id/${action}`,
      {
        schema: {
          summary: `${action} an account (administrators)`,
          tags,
          params,
          response: answers(Type.Literal(true), 201),
        },
        config: admin,
      },
      async (request, reply) => {
        const account = await accounts.find(request.params.id)
        if (account === undefined) throw notFound('User')
        await options.accounts.setState(request.caller.auditContext, account.id, state)
        return await reply.status(201).send(true)
      },
    )
  }
}

/** Matches a part of the names or, for administrators, the complete email address. */
function isFound({ username, name, email }: Account, text: string, viewer: Account): boolean {
  const inNames = [username, name].some((word) => word.toLowerCase().includes(text))
  return inNames || (viewer.admin && email?.toLowerCase() === text)
}
