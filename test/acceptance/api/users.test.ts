// Accounts, the version, and acting as others with sudo.
import t from 'tap'
import { createWorld } from '../world.js'
import { call, callsWith, form } from './calls.js'

t.test('the account of a token', async (t) => {
  const world = await createWorld(t)
  const { id } = await world.account('alice')
  const mine = await callsWith(world, await world.token('alice', 'read_user'))('GET', '/user')
  t.match(mine, {
    status: 200,
    body: {
      id,
      username: 'alice',
      name: 'alice',
      state: 'active',
      locked: false,
      avatar_url: null,
      web_url: `${world.url}/alice`,
      email: 'alice@example.com',
      two_factor_enabled: false,
    },
  })
  t.notOk('is_admin' in (mine.body as object), 'for administrators')
  t.match((await callsWith(world, await world.token('root', 'read_user'))('GET', '/user')).body, { is_admin: true })
})

t.test('accounts are listed and found', async (t) => {
  const world = await createWorld(t)
  const alice = callsWith(world, await world.token('alice', 'read_user'))
  const root = callsWith(world, await world.token('root', 'api'))
  const names = async (query: string, calls = alice) =>
    ((await calls('GET', `/users${query}`)).body as { username: string }[]).map(({ username }) => username).join(' ')
  t.equal(await names(''), 'mallory root alice')
  t.equal(await names('?username=ALICE'), 'alice')
  t.equal(await names('?search=AL'), 'mallory alice')
  t.equal(await names('?search=root@example.com'), '', 'addresses are for administrators')
  t.equal(await names('?search=root@example.com', root), 'root')
  t.equal(await names('?per_page=1&page=2'), 'root')
  const { id } = await world.account('mallory')
  const seen = (await alice('GET', `/users/${id}`)).body as object
  t.match(seen, { id, username: 'mallory', state: 'active' })
  for (const field of ['email', 'is_admin', 'two_factor_enabled']) t.notOk(field in seen, field)
  t.match((await root('GET', `/users/${id}`)).body, { email: 'mallory@example.com', is_admin: false })
  t.match(await root('POST', `/users/${id}/block`), { status: 201, body: true })
  t.equal(await names('?blocked=true'), 'mallory')
  t.equal(await names('?active=true'), 'root alice')
  t.match((await alice('GET', `/users/${id}`)).body, { state: 'blocked' })
  t.match(await root('POST', `/users/${id}/unblock`), { status: 201, body: true })
  t.equal(await names('?active=true'), 'mallory root alice')
  for (const action of ['block', 'unblock'])
    t.equal((await callsWith(world, await world.token('alice', 'api'))('POST', `/users/${id}/${action}`)).status, 403)
})

t.test('administrators add accounts', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const root = callsWith(world, secret)
  const made = await root('POST', '/users', { username: 'carol', name: 'Carol', email: 'carol@example.com' })
  t.match(made, {
    status: 201,
    body: { username: 'carol', name: 'Carol', email: 'carol@example.com', is_admin: false },
  })
  t.equal((await call(world, '/users', form(secret, 'username=dave&password=correct-horse-battery'))).status, 201)
  t.match((await root('POST', '/users', { username: 'eve', admin: true })).body, { name: 'eve', is_admin: true })
  for (const [body, message] of [
    [{ username: 'Carol' }, 'Username has already been taken'],
    [{ username: 'c2', email: 'carol@example.com' }, 'Email has already been taken'],
  ] as const) {
    const answer = await root('POST', '/users', body)
    t.same([answer.status, answer.body], [409, { message }])
  }
  await world.createRepository('team/app')
  for (const [field, body] of [
    ['username', { username: 'team' }],
    ['password', { username: 'f', password: 'ggpat-something-long' }],
    ['username', { username: '../x' }],
    ['username', { username: 'api' }],
    ['name', { username: 'f', name: 'a\nb' }],
    ['email', { username: 'f', email: 'nobody' }],
    ['password', { username: 'f', password: 'short' }],
  ] as const) {
    const answer = await root('POST', '/users', body)
    t.equal(answer.status, 400)
    t.same(Object.keys((answer.body as { message: object }).message), [field])
  }
  t.same((await root('POST', '/users', {})).body, { error: 'username is missing' })
  const refused = await callsWith(world, await world.token('alice', 'api'))('POST', '/users', { username: 'g' })
  t.equal(refused.status, 403)
})

t.test('the version is that of the GitLab that is followed', async (t) => {
  const world = await createWorld(t)
  const alice = callsWith(world, await world.token('alice', 'read_user'))
  const version = await alice('GET', '/version')
  t.match(version, { status: 200, body: { version: /^\d+\.\d+\.\d+$/, revision: /gitgate/ } })
  t.match(await alice('GET', '/metadata'), {
    status: 200,
    body: { ...(version.body as object), kas: { enabled: false, externalUrl: null, version: null }, enterprise: false },
  })
  t.equal((await callsWith(world)('GET', '/version')).status, 401)
})

t.test('sudo', async (t) => {
  const world = await createWorld(t)
  const alice = await world.account('alice')
  const secret = await world.token('root', 'api', 'sudo')
  const root = callsWith(world, secret)
  const who = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await root('GET', path, undefined, headers)
    return answer.status === 200 ? (answer.body as { username: string }).username : (answer.body as object)
  }

  await t.test('by number or by name, in the query, the body or the header', async (t) => {
    t.equal(await who(`/user?sudo=${alice.id}`), 'alice')
    t.equal(await who('/user?sudo=ALICE'), 'alice')
    t.equal(await who('/user', { Sudo: 'mallory' }), 'mallory')
    t.equal(await who('/user', { Sudo: String(alice.id) }), 'alice')
    t.equal(await who('/user?sudo=alice', { Sudo: 'mallory' }), 'alice', 'the parameter first')
    const { token } = await world.issue('alice', ['api'])
    const path = `/personal_access_tokens/${token.id}/rotate`
    t.equal((await root('POST', path, { sudo: 'mallory' })).status, 401, 'as mallory, to whom it does not exist')
    t.equal((await root('POST', path, { sudo: alice.id })).status, 200)
  })

  await t.test('the scopes of the token and the rights of the account still apply', async (t) => {
    const reader = callsWith(world, await world.token('root', 'read_user', 'sudo'))
    t.equal((await reader('GET', '/user?sudo=alice')).status, 200)
    t.match(await reader('GET', '/personal_access_tokens?sudo=alice'), {
      status: 403,
      body: { error: 'insufficient_scope' },
    })
    t.equal((await root('GET', '/personal_access_tokens?sudo=alice')).status, 200)
    t.match(await root('GET', '/application/settings?sudo=alice'), { status: 403, body: { message: '403 Forbidden' } })
    t.equal((await root('GET', '/application/settings?sudo=root')).status, 200)
  })

  await t.test('who may not', async (t) => {
    for (const scopes of [['api'], ['read_user']] as const) {
      const answer = await callsWith(world, await world.token('root', ...scopes))('GET', '/user?sudo=alice')
      t.equal(answer.status, 403)
      t.match(answer.body, { error: 'insufficient_scope', scope: 'sudo' })
    }
    const answer = await callsWith(world, await world.token('alice', 'api'))('GET', '/user?sudo=root')
    t.same([answer.status, answer.body], [403, { message: '403 Forbidden - Must be admin to use sudo' }])
    t.equal((await callsWith(world)('GET', '/user?sudo=root')).status, 401)
    for (const target of ['123', 'nobody', '', '0', '-1', 'a b'])
      t.same(await who(`/user?sudo=${encodeURIComponent(target)}`), {
        message: `404 User with ID or username '${target}' Not Found`,
      })
  })
})
