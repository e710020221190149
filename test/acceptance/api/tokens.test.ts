// One token: looked at, rotated, revoked; and made by administrators for others.
import t from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import { createWorld } from '../world.js'
import { call, callsWith, form } from './calls.js'

t.test('one token is shown to its owner and to administrators', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'], { name: 'mine' })
  const hidden = await world.issue('alice', ['api'], { impersonation: true })
  const other = await world.issue('mallory', ['api'])
  const root = callsWith(world, await world.token('root', 'api'))
  const alice = callsWith(world, secret.reveal())
  const own = await alice('GET', `/personal_access_tokens/${token.id}`)
  t.equal(own.status, 200)
  t.match(own.body, { id: token.id, name: 'mine', active: true, revoked: false, last_used_ips: [] })
  for (const id of [other.token.id, hidden.token.id, 999]) {
    const answer = await alice('GET', `/personal_access_tokens/${id}`)
    t.same([answer.status, answer.body], [401, { message: '401 Unauthorized' }], 'as if it did not exist')
  }
  for (const id of [token.id, hidden.token.id, other.token.id])
    t.equal((await root('GET', `/personal_access_tokens/${id}`)).status, 200)
  t.equal((await root('GET', '/personal_access_tokens/999')).status, 404)
})

t.test('any token looks at itself and ends itself, whatever its scopes', async (t) => {
  const world = await createWorld(t)
  for (const scope of ['read_user', 'read_repository', 'write_repository', 'read_registry'] as const) {
    const { token, secret } = await world.issue('alice', [scope])
    const calls = callsWith(world, secret.reveal())
    t.match(await calls('GET', '/personal_access_tokens/self'), {
      status: 200,
      body: { id: token.id, scopes: [scope] },
    })
    t.match(await calls('GET', '/personal_access_tokens/self/associations'), { status: 200, body: { groups: [] } })
    const gone = await calls('DELETE', '/personal_access_tokens/self')
    t.same([gone.status, gone.body], [204, ''])
    t.equal((await calls('GET', '/personal_access_tokens/self')).status, 401)
  }
})

t.test('associations are the repositories that the token reaches', async (t) => {
  const world = await createWorld(t)
  for (const path of ['team/app', 'team/web', 'other/app']) await world.createRepository(path)
  await world.grant('alice', 'read', 'team/**')
  await world.grant('alice', 'write', 'team/app')
  const restrictions = { repositories: ['team/app'], refs: [], within: null }
  const { secret } = await world.issue('alice', ['read_repository'], { restrictions })
  const paths = async (with_: string, query = '') => {
    const { body } = (await callsWith(world, with_)('GET', `/personal_access_tokens/self/associations${query}`)) as {
      body: { projects: { path_with_namespace: string }[] }
    }
    return body.projects.map(({ path_with_namespace: path }) => path)
  }
  const whole = await world.token('alice', 'api')
  t.same(await paths(whole), ['team/app', 'team/web'])
  t.same(await paths(whole, '?min_access_level=30'), ['team/app'])
  t.same(await paths(whole, '?per_page=1&page=2'), ['team/web'])
  t.same(await paths(secret.reveal()), ['team/app'], 'of a limited token')
})

t.test('revoking', async (t) => {
  const world = await createWorld(t)
  const { secret } = await world.issue('alice', ['api'])
  const [alice, root] = [callsWith(world, secret.reveal()), callsWith(world, await world.token('root', 'api'))]
  const victim = await world.issue('alice', ['api'])
  const hidden = await world.issue('alice', ['api'], { impersonation: true })
  const other = await world.issue('mallory', ['api'])
  for (const { token } of [other, hidden]) {
    const refused = await alice('DELETE', `/personal_access_tokens/${token.id}`)
    t.same([refused.status, refused.body], [400, { message: '400 Bad request' }])
  }
  for (const calls of [alice, root]) {
    const missing = await calls('DELETE', '/personal_access_tokens/999')
    t.same([missing.status, missing.body], [404, { message: '404 Not found' }])
  }
  const path = `/personal_access_tokens/${victim.token.id}`
  const gone = await alice('DELETE', path)
  t.same([gone.status, gone.body], [204, ''])
  t.match((await alice('GET', path)).body, { revoked: true, active: false })
  t.equal((await alice('DELETE', path)).status, 204, 'twice is harmless')
  t.equal((await callsWith(world, victim.secret.reveal())('GET', '/user')).status, 401)
  for (const { token } of [other, hidden])
    t.equal((await root('DELETE', `/personal_access_tokens/${token.id}`)).status, 204)
})

t.test('administrators make tokens for others', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api', 'sudo')
  const root = callsWith(world, secret)
  const { id } = await world.account('alice')
  const path = `/users/${id}/personal_access_tokens`
  const expires = utcDate(new Date(world.now.getTime() + 30 * DAY))
  const wish = { name: 'ci', scopes: ['write_repository', 'read_user'], description: 'nightly', expires_at: expires }
  const made = await root('POST', path, wish)
  t.equal(made.status, 201)
  t.match(made.body, {
    ...wish,
    scopes: ['read_user', 'write_repository'],
    user_id: id,
    active: true,
    token: /^ggpat-/,
  })
  const { token } = made.body as { token: string }
  t.match((await callsWith(world, token)('GET', '/user')).body, { id, username: 'alice' })
  const formed = await call(world, path, form(secret, `name=f&scopes[]=api&scopes[]=read_user&expires_at=${expires}`))
  t.match(formed, { status: 201, body: { name: 'f', scopes: ['api', 'read_user'], expires_at: expires } })
  t.match((await root('POST', `${path}?name=q&scopes[]=api`)).body, { name: 'q', expires_at: null }, 'in the query')
  for (const none of [null, ''])
    t.equal(((await root('POST', path, { ...wish, expires_at: none })).body as { expires_at: null }).expires_at, null)
  const limited = { repositories: ['team/*'], refs: ['agent/*'], max_pushes: 3, max_push_bytes: 1_000 }
  const refs = ['refs/heads/agent/*:create,update']
  t.match((await root('POST', path, { ...wish, ...limited })).body, { ...limited, refs })

  const unknown = await root('POST', '/users/999/personal_access_tokens', wish)
  t.same([unknown.status, unknown.body], [404, { message: '404 User Not Found' }])
  const refused = await callsWith(world, await world.token('alice', 'api'))('POST', path, wish)
  t.same([refused.status, refused.body], [403, { message: '403 Forbidden' }])
  t.equal((await callsWith(world)('POST', path, wish)).status, 401)
  for (const [change, message] of [
    [{ name: '' }, /name can't be blank/],
    [{ name: 'a\nb' }, /control characters/],
    [{ name: 'a\u202Eb' }, /control characters/],
    [{ name: 'x'.repeat(256) }, /255 characters/],
    [{ description: 'x'.repeat(256) }, /255 characters/],
    [{ scopes: ['sudo'] }, /administrators/],
    [{ expires_at: utcDate(world.now) }, /already begun/],
    [{ expires_at: '2020-01-01' }, /already begun/],
    [{ repositories: ['../x'] }, /pattern/],
    [{ refs: ['main:push'] }, /is not a verb/],
  ] as const) {
    const answer = await root('POST', path, { ...wish, ...change })
    t.equal(answer.status, 422, JSON.stringify(change))
    t.match((answer.body as { message: string }).message, message)
  }
  await world.set('max_personal_access_token_lifetime', '10')
  t.match(await root('POST', path, wish), {
    status: 422,
    body: { message: utcDate(new Date(world.now.getTime() + 10 * DAY)) },
  })
  t.match((await root('POST', path, { name: 'x', scopes: ['api'] })).body, {
    expires_at: utcDate(new Date(world.now.getTime() + 10 * DAY)),
  })
})
