// gitgate's own: tokens that are limited, and tokens derived from others. POST /user/personal_access_tokens makes, in GitLab,
// a token for Kubernetes alone; here it makes one that is narrower than the presented one and ends with it.
import t from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import { createWorld } from '../world.js'
import type { ApiAnswer } from './calls.js'
import { callsWith } from './calls.js'

const DERIVE = '/user/personal_access_tokens'
const LIMITED = { message: '403 Forbidden - A limited token can only read' }
const secretOf = ({ body }: ApiAnswer) => (body as { token: string }).token

t.test('a token is derived: of the same owner, narrower, and not longer-lived', async (t) => {
  const world = await createWorld(t)
  const day = (days: number) => utcDate(new Date(world.now.getTime() + days * DAY))
  const expiry = new Date(`${day(20)}T00:00:00Z`)
  const { token, secret } = await world.issue('alice', ['api'], { name: 'parent', expiry })
  const alice = callsWith(world, secret.reveal())
  const plain = await alice('POST', DERIVE, { scopes: ['read_repository', 'read_repository'] })
  t.equal(plain.status, 201)
  const same = { name: 'parent', user_id: token.userId, parent_id: token.id, impersonation: false }
  t.match(plain.body, { ...same, scopes: ['read_repository'], expires_at: day(1), token: /^ggpat-/ })
  t.equal((plain.body as { scopes: string[] }).scopes.length, 1)
  const wish = {
    name: 'agent',
    description: 'task 42',
    scopes: ['write_repository'],
    expires_at: day(3),
    repositories: ['team/app'],
    refs: ['agent/*:create'],
    max_pushes: 1,
    max_push_bytes: 1_000_000,
  }
  const whole = await alice('POST', DERIVE, wish)
  t.match(whole, { status: 201, body: { ...same, ...wish, refs: ['refs/heads/agent/*:create'] } })
  const late = await alice('POST', DERIVE, { scopes: ['read_repository'], expires_at: day(300) })
  t.match(late, { status: 201, body: { expires_at: day(20) } }, "its parent's end")
  const listed = await alice('GET', '/personal_access_tokens')
  t.equal((listed.body as unknown[]).length, 4, 'all are listed')

  for (const scopes of [['api'], ['sudo'], ['read_user'], ['k8s_proxy']]) {
    const answer = await alice('POST', DERIVE, { scopes })
    t.same([answer.status, answer.body], [400, { error: 'scopes does not have a valid value' }])
  }
  t.same((await alice('POST', DERIVE)).body, { error: 'scopes is missing' })
  for (const bad of [{ expires_at: '2020-01-01' }, { name: ' ' }, { repositories: ['/'] }, { refs: ['a:b'] }])
    t.equal((await alice('POST', DERIVE, { scopes: ['read_repository'], ...bad })).status, 422, JSON.stringify(bad))
})

t.test('it ends with its parent', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const child = secretOf(await callsWith(world, secret.reveal())('POST', DERIVE, { scopes: ['read_repository'] }))
  const status = async () => (await callsWith(world, child)('GET', '/personal_access_tokens/self')).status
  t.equal(await status(), 200)
  await callsWith(world, secret.reveal())('DELETE', `/personal_access_tokens/${token.id}`)
  t.equal(await status(), 401)
})

t.test('a derived token derives no other, and is not rotated', async (t) => {
  const world = await createWorld(t)
  const parent = callsWith(world, await world.token('alice', 'api'))
  const answer = await parent('POST', DERIVE, { scopes: ['write_repository'] })
  const { id } = answer.body as { id: number }
  const child = callsWith(world, secretOf(answer))
  t.equal((await child('POST', DERIVE, { scopes: ['read_repository'] })).status, 403, 'its scopes are for Git')
  const rotated = await parent('POST', `/personal_access_tokens/${id}/rotate`)
  t.match(rotated, { status: 400, body: { message: /^400 Bad request - token \d+ is derived/ } })
  t.equal((await child('DELETE', '/personal_access_tokens/self')).status, 204)
})

t.test('with sudo nothing is derived', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api', 'sudo'))
  const answer = await root('POST', `${DERIVE}?sudo=alice`, { scopes: ['read_repository'] })
  t.equal(answer.status, 403)
  t.match(answer.body, { message: /can't be derived with sudo/ })
})

t.test('a limited token reads, derives and ends itself, and changes nothing else', async (t) => {
  const world = await createWorld(t)
  const root = await world.account('root')
  const victim = await world.issue('root', ['api'])
  const limits = [
    { restrictions: { repositories: ['team/*'], refs: [], within: null } },
    {
      restrictions: { repositories: [], refs: [{ pattern: 'refs/heads/x', verbs: ['create' as const] }], within: null },
    },
    { budget: { pushes: 1, bytes: null } },
    { budget: { pushes: null, bytes: 1 } },
  ]
  for (const limit of limits) {
    const { token, secret } = await world.issue('root', ['api', 'sudo'], limit)
    const calls = callsWith(world, secret.reveal())
    for (const path of [
      '/user',
      '/personal_access_tokens',
      '/application/settings',
      `/personal_access_tokens/${token.id}`,
    ])
      t.equal((await calls('GET', path)).status, 200, path)
    const wish = { name: 'free', scopes: ['api'] }
    for (const [method, path, body] of [
      ['POST', `/users/${root.id}/personal_access_tokens`, wish],
      ['POST', `/users/${root.id}/impersonation_tokens`, wish],
      ['POST', '/users', { username: 'eve', admin: true }],
      ['POST', `/users/${root.id}/block`],
      ['PUT', '/application/settings', { enforce_pat_expiration: false }],
      ['POST', '/personal_access_tokens/self/rotate'],
      ['POST', `/personal_access_tokens/${victim.token.id}/rotate`],
      ['DELETE', `/personal_access_tokens/${victim.token.id}`],
      ['POST', '/users?sudo=root', { username: 'eve' }],
    ] as const) {
      const answer = await calls(method, path, body)
      t.same([answer.status, answer.body], [403, LIMITED], `${method} ${path}`)
    }
    const derived = await calls('POST', DERIVE, { scopes: ['read_repository'] })
    t.match(derived, { status: 201, body: { parent_id: token.id } })
    t.equal((await calls('DELETE', '/personal_access_tokens/self')).status, 204)
  }
})
