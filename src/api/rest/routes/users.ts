import { Type } from 'typebox'
import type { Account } from '../../../accounts/account.js'
import { checkDisplayName, checkEmail, checkUsername } from '../../../accounts/account.js'
import { checkNewPassword } from '../../../accounts/password.js'
import { GitgateError } from '../../../errors.js'
import { Secret } from '../../../secret.js'
import type { Api } from '../app.js'
import { fullUserEntity, userEntity } from '../entities.js'
import { ApiError, invalidField, notFound } from '../errors.js'
import type { ApiOptions } from '../options.js'
import { paginate, windowOf } from '../pagination.js'
import { Id, Name, Page } from '../parameters.js'

/** Accounts: everybody sees who is there, administrators make and block them. */
export function userRoutes(api: Api, options: ApiOptions): void {
  const { accounts, baseUrl } = options
  const readers = { needs: { scopes: ['read_user', 'read_api', 'api'] as const } }
  const admin = { needs: { admin: true } }
  const entityFor = (viewer: Account, account: Account) =>
    viewer.admin || viewer.id === account.id ? fullUserEntity(account, baseUrl()) : userEntity(account, baseUrl())

  api.get('/user', { schema: { summary: 'the account of the token' }, config: readers }, (request) =>
    fullUserEntity(request.caller.account, baseUrl()),
  )

  api.get(
    '/users',
    {
      schema: {
        summary: 'list accounts',
        querystring: Type.Object({
          ...Page,
          username: Type.Optional(Name),
          search: Type.Optional(Name),
          active: Type.Optional(Type.Boolean()),
          blocked: Type.Optional(Type.Boolean()),
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
    { schema: { summary: 'one account', params: Type.Object({ id: Id }) }, config: readers },
    async (request) => {
      const account = await accounts.find(request.params.id)
      if (account === undefined) throw notFound('User')
      return entityFor(request.caller.account, account)
    },
  )

  const NewUser = Type.Object({
    username: Name,
    name: Type.Optional(Name),
    email: Type.Optional(Name),
    password: Type.Optional(Type.String({ maxLength: 1_000 })),
    admin: Type.Optional(Type.Boolean()),
  })
  api.post(
    '/users',
    { schema: { summary: 'add an account (administrators)', body: NewUser }, config: admin },
    async (request, reply) => {
      const { username, name = username, email = null, password, admin: isAdmin = false } = request.body
      field('username', () => checkUsername(username))
      field('name', () => checkDisplayName(name, 'name'))
      if (email !== null) field('email', () => checkEmail(email))
      const secret = password === undefined ? null : new Secret(password, 'password')
      if (secret !== null) field('password', () => checkNewPassword(secret, { username, email }))
      const passwordHash = secret === null ? null : await options.passwords.hash(secret)
      try {
        const account = await accounts.add(
          { username, name, email, admin: isAdmin, passwordHash },
          options.access.now(),
        )
        return await reply.status(201).send(fullUserEntity(account, baseUrl()))
      } catch (error) {
        if (error instanceof GitgateError && error.code === 'conflict') {
          throw new ApiError(409, {
            message: error.message.includes('e-mail')
              ? 'Email has already been taken'
              : 'Username has already been taken',
          })
        }
        throw error
      }
    },
  )

  for (const [action, state] of [
    ['block', 'blocked'],
    ['unblock', 'active'],
  ] as const) {
    api.post(
      `/users/:id/${action}`,
      { schema: { summary: `${action} an account (administrators)`, params: Type.Object({ id: Id }) }, config: admin },
      async (request, reply) => {
        const account = await accounts.find(request.params.id)
        if (account === undefined) throw notFound('User')
        await accounts.setState(account.id, state)
        return await reply.status(201).send(true)
      },
    )
  }
}

/** By a part of the names; by the whole address, which only administrators may look for. */
function isFound({ username, name, email }: Account, text: string, viewer: Account): boolean {
  const inNames = [username, name].some((word) => word.toLowerCase().includes(text))
  return inNames || (viewer.admin && email?.toLowerCase() === text)
}

/** @throws ApiError as GitLab's models say it */
function field(name: string, check: () => void): void {
  try {
    check()
  } catch (error) {
    if (error instanceof GitgateError) throw invalidField(name, error.message)
    throw error
  }
}
