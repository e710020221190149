// GitLab's GraphQL API for the account's own tokens.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { within } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

type Answer = { readonly status: number; readonly body: Record<string, unknown> }

async function ask(
  world: World,
  query: unknown,
  secret?: string,
  variables?: object,
  method = 'POST',
): Promise<Answer> {
  const headers: Record<string, string> = secret === undefined ? {} : { Authorization: `Bearer ${secret}` }
  const isGet = method === 'GET'
  const path = isGet ? `/api/graphql?query=${encodeURIComponent(String(query))}` : '/api/graphql'
  const { status, body } = await world.http(path, {
    method,
    headers: isGet ? headers : { ...headers, 'Content-Type': 'application/json' },
    ...(isGet ? {} : { body: JSON.stringify({ query, variables }) }),
  })
  return { status, body: JSON.parse(body) as Record<string, unknown> }
}

const TOKENS =
  '{ currentUser { id username personalAccessTokens { count nodes { id name active revoked scopes expiresAt lastUsedAt } } } }'

t.test('who asks, and with which tokens', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['read_api'], { name: 'ci' })
  await world.issue('alice', ['api'], { impersonation: true })
  await world.issue('mallory', ['api'])
  t.strictSame(await ask(world, '{ currentUser { id } }'), { status: 200, body: { data: { currentUser: null } } })
  const account = await world.account('alice')
  t.match(await ask(world, TOKENS, secret.reveal()), {
    status: 200,
    body: {
      data: {
        currentUser: {
          id: `gid://gitlab/User/${account.id}`,
          username: 'alice',
          personalAccessTokens: {
            count: 1,
            nodes: [
              { id: `gid://gitlab/PersonalAccessToken/${token.id}`, name: 'ci', active: true, scopes: ['read_api'] },
            ],
          },
        },
      },
    },
  })
  const used = async () => (await world.store.tokens.find(token.id))!.lastUsedAt !== null
  t.ok(await within(1_000, used), 'that is a use')
})

t.test('tokens that are none, or not enough', async (t) => {
  const world = await createWorld(t)
  const errors = (message: string) => ({ errors: [{ message }] })
  t.strictSame(await ask(world, '{ currentUser { id } }', 'ggpat-nonsense'), {
    status: 401,
    body: errors('Invalid token'),
  })
  const { token, secret } = await world.issue('alice', ['api'])
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  t.equal((await ask(world, '{ currentUser { id } }', secret.reveal())).status, 401)
  t.strictSame(await ask(world, '{ currentUser { id } }', await world.token('alice', 'read_repository')), {
    status: 403,
    body: errors('API not accessible for user'),
  })
})

t.test('filters, sorts and pages', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('alice', 'read_api')
  for (const name of ['b', 'a', 'c']) await world.issue('alice', ['api'], { name: `tok-${name}` })
  const { token } = await world.issue('alice', ['api'], { name: 'tok-gone' })
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  const names = async (args: string) => {
    const { body } = await ask(
      world,
      `{ currentUser { personalAccessTokens(${args}) { nodes { name } pageInfo { hasNextPage endCursor } } } }`,
      secret,
    )
    const data = body['data'] as {
      currentUser: {
        personalAccessTokens: { nodes: { name: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } }
      }
    }
    const { nodes, pageInfo } = data.currentUser.personalAccessTokens
    return { names: nodes.map(({ name }) => name).join(), ...pageInfo }
  }
  t.match(await names('search: "TOK", sort: NAME_ASC, state: ACTIVE'), {
    names: 'tok-a,tok-b,tok-c',
    hasNextPage: false,
  })
  t.match(await names('search: "tok", revoked: true'), { names: 'tok-gone' })
  const first = await names('search: "tok", sort: NAME_DESC, first: 2')
  t.match(first, { names: 'tok-gone,tok-c', hasNextPage: true })
  t.match(await names(`search: "tok", sort: NAME_DESC, first: 2, after: "${first.endCursor}"`), {
    names: 'tok-b,tok-a',
    hasNextPage: false,
  })
  t.match(await names('createdAfter: "2999-01-01"'), { names: '' })
})

t.test('create, rotate and revoke', async (t) => {
  const world = await createWorld(t)
  const { secret } = await world.issue('alice', ['api'], { name: 'main' })
  const create =
    'mutation($scopes: [String!]!) { personalAccessTokenCreate(input: { name: "sub", scopes: $scopes, refs: ["agent/*"], clientMutationId: "7" }) { token errors clientMutationId personalAccessToken { id scopes refs } } }'
  const made = (await ask(world, create, secret.reveal(), { scopes: ['write_repository'] })).body['data'] as {
    personalAccessTokenCreate: { token: string; personalAccessToken: { id: string } }
  }
  t.match(made.personalAccessTokenCreate, {
    token: /^ggpat-\w{36}$/,
    errors: [],
    clientMutationId: '7',
    personalAccessToken: { scopes: ['write_repository'], refs: ['refs/heads/agent/*:create,update'] },
  })
  t.match(await ask(world, create, secret.reveal(), { scopes: ['sudo'] }), {
    body: {
      data: { personalAccessTokenCreate: { token: null, errors: [/can have read_repository, write_repository/] } },
    },
  })
  const { token: other } = await world.issue('alice', ['api'], { name: 'other' })
  const { token: foreign } = await world.issue('mallory', ['api'])
  const gid = (id: number) => `gid://gitlab/PersonalAccessToken/${id}`
  const rotate = (id: string, by = secret.reveal()) =>
    ask(world, `mutation { personalAccessTokenRotate(input: { id: "${id}" }) { token errors } }`, by)
  t.match(await rotate(gid(other.id)), {
    body: { data: { personalAccessTokenRotate: { token: /^ggpat-/, errors: [] } } },
  })
  t.match(await rotate(gid(other.id)), {
    body: { data: { personalAccessTokenRotate: { token: null, errors: [/already revoked/] } } },
  })
  const hidden = { status: 200, body: { errors: [{ message: /does not exist or you don't have permission/ }] } }
  for (const id of [gid(foreign.id), gid(999), 'nonsense']) t.match(await rotate(id), hidden, id)
  t.match(await rotate(gid(other.id), await world.token('alice', 'read_api')), hidden, 'to read is not to write')
  const revoke = `mutation { personalAccessTokenRevoke(input: { id: "${made.personalAccessTokenCreate.personalAccessToken.id}" }) { errors } }`
  t.match(await ask(world, revoke, secret.reveal()), { body: { data: { personalAccessTokenRevoke: { errors: [] } } } })
  t.match(await ask(world, revoke, secret.reveal(), undefined, 'GET'), {
    status: 422,
    body: { errors: [{ message: 'Mutations are forbidden in GET requests' }] },
  })
})

t.test('bad input gets an answer, and nothing is done for what asks too much', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('alice', 'api')
  t.match(await ask(world, 'x'.repeat(10_001), secret), {
    status: 422,
    body: { errors: [{ message: 'Query too large' }] },
  })
  const deep = `{ currentUser { personalAccessTokens { edges ${'{ node '.repeat(20)} { id } ${'}'.repeat(20)} } } }`
  t.match(await ask(world, deep, secret), { status: 200, body: { errors: [{ message: /depth/ }] } })
  const many = `{ ${Array.from({ length: 300 }, (_, i) => `a${i}: currentUser { id }`).join(' ')} }`
  t.match(await ask(world, many, secret), { body: { errors: [{ message: /complexity/ }] } })
  const bomb = `{ currentUser { ...f0 } } ${Array.from({ length: 12 }, (_, i) => `fragment f${i} on CurrentUser { ...f${i + 1} ...f${i + 1} }`).join(' ')} fragment f12 on CurrentUser { id name }`
  t.match(await ask(world, bomb, secret), { body: { errors: [{ message: /complexity|depth/ }] } })
  const empty = `{ currentUser { ...f0 } } ${Array.from({ length: 13 }, (_, i) => `fragment f${i} on CurrentUser { ${`...f${i + 1} `.repeat(40)} }`).join(' ')} fragment f13 on CurrentUser { id }`
  t.match(await ask(world, empty, secret), { body: { errors: [{ message: /complexity|depth/ }] } })
  t.match(await ask(world, '{ currentUser { ...a } } fragment a on CurrentUser { ...a }', secret), {
    status: 200,
    body: { errors: [{}] },
  })
  const changes = Array.from(
    { length: 11 },
    (_, i) => `a${i}: personalAccessTokenRevoke(input: { id: "x" }) { errors }`,
  )
  t.match(await ask(world, `mutation { ${changes.join(' ')} }`, secret), {
    body: { errors: [{ message: 'A request makes 10 changes at most' }] },
  })
  t.match(await ask(world, '{ currentUser { personalAccessTokens(first: 0) { count } } }', secret), {
    body: { errors: [{ message: 'first must be 1 at least' }] },
  })
  for (const query of [7, null, ['a'], {}]) t.equal((await ask(world, query, secret)).status, 422)
  t.match(await ask(world, '{ nothing', secret), { status: 200, body: { errors: [{ message: /Syntax Error/ }] } })
  const raw = await world.http('/api/graphql', {
    method: 'POST',
    body: '{"query"',
    headers: { 'Content-Type': 'application/json' },
  })
  t.equal(raw.status, 400)
  t.equal(
    (await world.http('/api/graphql', { method: 'POST', body: 'x', headers: { 'Content-Type': 'text/html' } })).status,
    415,
  )
  t.match(await ask(world, '{ __schema { types { name } } }', secret), {
    status: 200,
    body: { data: { __schema: {} } },
  })
})
