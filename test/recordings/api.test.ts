// Every call of the REST API and of GraphQL with the responses to it.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import type { Test } from 'tap'
import { DAY, HOUR } from '../../src/core/clock.js'
import { callsWith } from '../acceptance/api/calls.js'
import type { HttpOptions } from '../acceptance/http-client.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import type { Call } from './api-calls.js'
import { ACCOUNT_OPERATIONS } from './api-calls.js'
import { REPOSITORY_OPERATIONS } from './api-calls-repositories.js'
import { QUERIES } from './graphql-calls.js'
import { httpText } from './http-text.js'
import { compareRecording, mask } from './recording.js'

const START = new Date('2026-03-02T09:00:00Z')
const API = '/api/v4'
const GRAPHQL = '/api/graphql'
const OPERATIONS = { ...ACCOUNT_OPERATIONS, ...REPOSITORY_OPERATIONS }

type Secrets = Readonly<Record<string, string>>

/** A gate with repositories, grants, and a token of each kind that the calls need. */
async function populate(t: Test): Promise<{ world: World; secrets: Secrets }> {
  const world = await createWorld(t, {}, undefined, { start: START })
  for (const path of ['team/app', 'team/lib']) await world.createRepository(path)
  await world.grant('alice', 'admin', 'team/app')
  await world.grant('alice', 'write', 'team/lib')
  await world.grant('root', 'read', 'team/**')
  const alice = await world.token('alice', 'api')
  const root = await world.token('root', 'api', 'sudo')
  const narrow = await world.token('alice', 'read_repository')
  await world.issue('alice', ['read_repository'], { name: 'spare', expiry: new Date(START.getTime() + 9 * DAY) })
  const rotating = await world.token('alice', 'api')
  const ending = await world.token('alice', 'read_user')
  const revoked = await world.issue('alice', ['api'])
  await world.store.tokens.revoke(GATE_CONTEXT, revoked.token.id, world.now)
  const mallory = await world.token('mallory', 'api')
  const wish = { name: 'derived', scopes: ['read_repository'] }
  const made = await callsWith(world, alice)('POST', '/user/personal_access_tokens', wish)
  const derived = (made.body as { token: string }).token
  const expiry = new Date(START.getTime() + HOUR)
  const expired = (await world.issue('alice', ['api'], { expiry })).secret.reveal()
  const secrets = { alice, root, narrow, rotating, ending, revoked: revoked.secret.reveal(), mallory, derived, expired }
  return { world, secrets }
}

/** Makes a call. @returns what the recording says of it */
async function record(world: World, secrets: Secrets, method: string, { title, as = 'root', ...call }: Call) {
  const secret = secrets[as]
  const { path, body, headers } = call
  const options: HttpOptions = {
    method,
    headers: {
      ...(secret === undefined ? {} : { 'PRIVATE-TOKEN': secret }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  }
  const target = path.startsWith('/api') ? path : `${API}${path}`
  return `## ${title} (${as})\n\n${httpText(target, options, await world.http(target, options))}`
}

t.test('each call of the REST API is answered as recorded', async (t) => {
  const { world, secrets } = await populate(t)
  const recording: string[] = []
  for (const [operation, { admin, anyScope, refusals = [], ...call }] of Object.entries(OPERATIONS)) {
    const [method = ''] = operation.split(' ', 1)
    const calls: Call[] = [
      { ...call, title: 'no token', as: 'nobody' },
      ...(anyScope === true ? [] : [{ ...call, title: 'wrong scope', as: 'narrow' }]),
      ...(admin === true ? [{ ...call, title: 'not an administrator', as: 'alice' }] : []),
      ...refusals,
      { ...call, title: 'success' },
    ]
    recording.push(`# ${operation}\n`)
    for (const one of calls) recording.push(await record(world, secrets, method, one))
    t.match(recording.at(-1), /^ {2}HTTP 2\d\d$/m, `${operation} succeeds`)
  }
  recording.push('# any call\n')
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  world.advance(HOUR)
  for (const [method, call] of ANY_CALL) recording.push(await record(world, secrets, method, call))
  compareRecording(t, 'api.txt', recording.join('\n'))

  const body: unknown = (await callsWith(world, secrets['root'])('GET', '/openapi.json')).body
  compareRecording(t, 'openapi.txt', `${mask(JSON.stringify(body, undefined, 2))}\n`)
  const { paths } = body as { paths: Readonly<Record<string, object>> }
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(API, '')}`),
  )
  const missing = all.filter((operation) => !(operation in OPERATIONS))
  t.strictSame(missing, [], 'every call of the OpenAPI document is in test/recordings/api-calls*.ts')
})

/** What is the same for every call. */
const ANY_CALL: readonly (readonly [method: string, call: Call])[] = [
  ['GET', { title: 'unknown path', path: '/nothing' }],
  ['PATCH', { title: 'unknown method', path: '/users' }],
  ['HEAD', { title: 'only the headers', path: '/user' }],
  ['GET', { title: 'wrong token', as: 'nobody', path: '/user', headers: { 'PRIVATE-TOKEN': 'wrong' } }],
  ['GET', { title: 'revoked token', as: 'revoked', path: '/user' }],
  ['GET', { title: 'expired token', as: 'expired', path: '/user' }],
  ['GET', { title: 'blocked account', as: 'mallory', path: '/user' }],
  ['GET', { title: 'sudo', path: '/user', headers: { Sudo: 'alice' } }],
  ['GET', { title: 'sudo: not an administrator', as: 'alice', path: '/user', headers: { Sudo: 'root' } }],
  ['GET', { title: 'sudo: not found', path: '/user', headers: { Sudo: 'nobody' } }],
  ['POST', { title: 'malformed JSON', path: '/users', body: '{' }],
  ['POST', { title: 'another type', path: '/users', body: '<a/>', headers: { 'Content-Type': 'text/xml' } }],
]

t.test('each query and mutation of GraphQL is answered as recorded', async (t) => {
  const { world, secrets } = await populate(t)
  const recording: string[] = []
  for (const { title, as = 'alice', query, variables } of QUERIES) {
    const body = { query, ...(variables === undefined ? {} : { variables }) }
    recording.push(await record(world, secrets, 'POST', { title, as, path: GRAPHQL, body }))
  }
  compareRecording(t, 'graphql.txt', recording.join('\n'))

  const fields = '{ __schema { queryType { fields { name } } mutationType { fields { name } } } }'
  const { body } = await world.http(GRAPHQL, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: fields }),
  })
  const names = [...body.matchAll(/"name":"(\w+)"/g)].map(([, name = '']) => name)
  t.ok(names.length > 3)
  const missing = names.filter(
    (name) => !QUERIES.some(({ query }) => query.includes(`${name} {`) || query.includes(`${name}(`)),
  )
  t.strictSame(missing, [], 'every query and mutation of the schema is in test/recordings/graphql-calls.ts')
})
