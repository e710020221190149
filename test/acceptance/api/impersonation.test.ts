// Impersonation tokens: administrators make them, the account does not see them, and they work for the API and for Git.
import t from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import { createWorld } from '../world.js'
import { call, callsWith, form } from './calls.js'

t.test('an administrator makes, lists, shows and revokes them', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('team/app')
  await world.grant('alice', 'write', 'team/**')
  const root = callsWith(world, await world.token('root', 'api'))
  const { id } = await world.account('alice')
  const path = `/users/${id}/impersonation_tokens`
  const expires = utcDate(new Date(world.now.getTime() + 2 * DAY))
  const wish = { name: 'support', scopes: ['api'], description: 'ticket 7', expires_at: expires }
  const made = await root('POST', path, wish)
  t.match(made, { status: 201, body: { ...wish, impersonation: true, active: true, user_id: id, token: /^ggpat-/ } })
  const { id: tokenId, token } = made.body as { id: number; token: string }

  const asAlice = callsWith(world, token)
  t.match((await asAlice('GET', '/user')).body, { username: 'alice' })
  const push = '/team/app.git/info/refs?service=git-receive-pack'
  t.equal((await world.http(push, { password: token })).status, 200)
  const own = await callsWith(world, await world.token('alice', 'api'))('GET', '/personal_access_tokens')
  t.equal((own.body as unknown[]).length, 1, 'hidden from its account')

  const shown = await root('GET', `${path}/${tokenId}`)
  t.match(shown, { status: 200, body: { id: tokenId, impersonation: true } })
  t.notOk('token' in (shown.body as object))
  const second = await root('POST', path, { name: 'old', scopes: ['read_user'] })
  const gone = await root('DELETE', `${path}/${(second.body as { id: number }).id}`)
  t.same([gone.status, gone.body], [204, ''])
  const names = async (query: string) =>
    ((await root('GET', `${path}${query}`)).body as { name: string }[]).map(({ name }) => name).join(' ')
  t.equal(await names(''), 'support old')
  t.equal(await names('?state=all'), 'support old')
  t.equal(await names('?state=active'), 'support')
  t.equal(await names('?state=inactive'), 'old')
  t.equal(await names('?per_page=1&page=2'), 'old')
  t.equal((await root('GET', `${path}?per_page=1`)).headers['x-total-pages'], '2')
  world.advance(2 * DAY)
  t.equal(await names('?state=inactive'), 'support old', 'expired')
})

t.test('what is not there, and what is wrong', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api', 'sudo'))
  const { id } = await world.account('alice')
  const path = `/users/${id}/impersonation_tokens`
  const { token } = await world.issue('alice', ['api'])
  const other = await world.issue('mallory', ['api'], { impersonation: true })
  for (const method of ['GET', 'DELETE']) {
    for (const missing of [999, token.id, other.token.id]) {
      const answer = await root(method, `${path}/${missing}`)
      t.same([answer.status, answer.body], [404, { message: '404 Impersonation Token Not Found' }])
    }
  }
  for (const [method, body] of [
    ['GET', undefined],
    ['POST', { name: 'x', scopes: ['api'] }],
  ] as const) {
    const answer = await root(method, '/users/999/impersonation_tokens', body)
    t.same([answer.status, answer.body], [404, { message: '404 User Not Found' }])
  }
  t.same((await root('GET', `${path}?state=x`)).body, { error: 'state does not have a valid value' })
  t.same((await root('POST', path, {})).body, { error: 'name is missing, scopes is missing' })
  for (const [field, change] of [
    ['name', { name: ' ' }],
    ['description', { description: 'x'.repeat(300) }],
    ['scopes', { scopes: ['sudo'] }],
    ['expires_at', { expires_at: '2020-01-01' }],
  ] as const) {
    const answer = await root('POST', path, { name: 'x', scopes: ['api'], ...change })
    t.equal(answer.status, 400)
    t.same(Object.keys((answer.body as { message: object }).message), [field])
  }
})

t.test('only administrators', async (t) => {
  const world = await createWorld(t)
  const { id } = await world.account('alice')
  const { token } = await world.issue('alice', ['api'], { impersonation: true })
  const path = `/users/${id}/impersonation_tokens`
  const alice = callsWith(world, await world.token('alice', 'api'))
  for (const [method, where, body] of [
    ['GET', path],
    ['POST', path, { name: 'x', scopes: ['api'] }],
    ['GET', `${path}/${token.id}`],
    ['DELETE', `${path}/${token.id}`],
  ] as const) {
    const refused = await alice(method, where, body)
    t.same([refused.status, refused.body], [403, { message: '403 Forbidden' }])
    t.equal((await callsWith(world)(method, where, body)).status, 401)
  }
})

t.test('If-Unmodified-Since is honoured', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const { token } = await world.issue('alice', ['api'], { impersonation: true })
  const path = `/users/${token.userId}/impersonation_tokens/${token.id}`
  const remove = (since: Date | string) =>
    callsWith(world, secret)('DELETE', path, undefined, {
      'If-Unmodified-Since': typeof since === 'string' ? since : since.toUTCString(),
    })
  const stale = await remove(new Date(world.now.getTime() - DAY))
  t.same([stale.status, stale.body], [412, { message: '412 Precondition Failed' }])
  t.equal((await remove(world.now)).status, 204)
  t.equal((await remove('nonsense')).status, 204, 'one that is no date counts for nothing')
})

t.test('forms and the switch', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const { id } = await world.account('alice')
  const made = await call(world, `/users/${id}/impersonation_tokens`, form(secret, 'name=f&scopes[]=api'))
  t.match(made, { status: 201, body: { name: 'f', scopes: ['api'], impersonation: true } })
  await callsWith(world, secret)('PUT', '/application/settings', { impersonation_enabled: false })
  t.equal((await callsWith(world, (made.body as { token: string }).token)('GET', '/user')).status, 401)
})
