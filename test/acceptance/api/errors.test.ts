// GitLab's answers to what goes wrong, case by case (its REST API: status codes), and the ways of carrying a token.
import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { DAY } from '../../../src/core/clock.js'
import { createWorld } from '../world.js'
import { raw } from '../http-client.js'
import { call, callsWith, form } from './calls.js'

const EXPIRED = 'Token is expired. You can either do re-authorization or token refresh.'
const REVOKED = 'Token was revoked. You have to re-authorize from the user.'
const IMPERSONATION_OFF = 'Token is an impersonation token but impersonation was disabled.'

t.test('nobody, and who has a wrong token, is told nothing', async (t) => {
  const world = await createWorld(t)
  const good = await world.token('alice', 'api')
  const wrong = ['', 'x', 'ggpat-000000000000000000000000000000000000', good.slice(0, -1), `${good}x`]
  for (const secret of [undefined, ...wrong]) {
    for (const path of ['/user', '/version', '/personal_access_tokens', '/application/settings', '/openapi.json']) {
      const answer = await callsWith(world, secret)('GET', path)
      t.equal(answer.status, 401, path)
      t.same(answer.body, { message: '401 Unauthorized' })
      t.equal(answer.headers['www-authenticate'], undefined)
      t.equal(answer.headers['content-type'], 'application/json', 'python-gitlab compares the whole')
      t.equal(answer.headers['x-frame-options'], 'SAMEORIGIN')
      t.equal(answer.headers['x-content-type-options'], 'nosniff')
    }
  }
})

t.test('a token that was good once is told why it is none any more', async (t) => {
  const world = await createWorld(t)
  const ask = async (secret: string, description: string) => {
    const answer = await callsWith(world, secret)('GET', '/user')
    t.equal(answer.status, 401)
    t.same(answer.body, { error: 'invalid_token', error_description: description })
    t.equal(
      answer.headers['www-authenticate'],
      `Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="${description}"`,
    )
  }
  const dated = await world.issue('alice', ['api'], { expiry: new Date(world.now.getTime() + DAY) })
  const revoked = await world.issue('alice', ['api'])
  const both = await world.issue('alice', ['api'], { expiry: new Date(world.now.getTime() + DAY) })
  const impersonation = await world.issue('alice', ['api'], { impersonation: true })
  await world.store.tokens.revoke(GATE_CONTEXT, revoked.token.id, world.now)
  await world.store.tokens.revoke(GATE_CONTEXT, both.token.id, world.now)
  await ask(revoked.secret.reveal(), REVOKED)
  world.advance(DAY)
  await ask(dated.secret.reveal(), EXPIRED)
  await ask(both.secret.reveal(), EXPIRED)
  await world.set('impersonation_enabled', 'false')
  await ask(impersonation.secret.reveal(), IMPERSONATION_OFF)
  await world.set('enforce_pat_expiration', 'false')
  t.equal((await callsWith(world, dated.secret.reveal())('GET', '/user')).status, 200, 'expiry not enforced')
})

t.test('who is not let in, though the token is right', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const alice = callsWith(world, secret.reveal())
  await world.store.accounts.setState(GATE_CONTEXT, token.userId, 'blocked')
  const blocked = await alice('GET', '/user')
  t.equal(blocked.status, 403)
  t.same(blocked.body, { message: '403 Forbidden - Your account has been blocked.' })
  await world.store.accounts.setState(GATE_CONTEXT, token.userId, 'active')
  const forbidden = await alice('GET', '/application/settings')
  t.equal(forbidden.status, 403)
  t.same(forbidden.body, { message: '403 Forbidden' })
  await world.set('disable_personal_access_tokens', 'true')
  t.equal((await alice('GET', '/user')).status, 401, 'tokens are switched off')
})

t.test('each call names the scopes that would be enough', async (t) => {
  const world = await createWorld(t)
  const calls = callsWith(world, await world.token('root', 'write_repository', 'read_registry'))
  const refused = async (method: string, path: string, scope: string, with_ = calls) => {
    const answer = await with_(method, path)
    t.equal(answer.status, 403, `${method} ${path}`)
    t.equal(answer.headers['www-authenticate'], undefined)
    t.same(answer.body, {
      error: 'insufficient_scope',
      error_description: 'The request requires higher privileges than provided by the access token.',
      scope,
    })
  }
  for (const path of ['/user', '/users', '/users/1', '/version', '/metadata'])
    await refused('GET', path, 'read_user api read_api')
  for (const path of ['/personal_access_tokens', '/personal_access_tokens/1', '/application/settings', '/projects'])
    await refused('GET', path, 'api read_api')
  await refused('GET', '/users/1/impersonation_tokens', 'api read_api')
  for (const path of ['/personal_access_tokens/1/rotate', '/personal_access_tokens/self/rotate', '/users/1/block'])
    await refused('POST', path, 'api')
  await refused('POST', '/user/personal_access_tokens', 'api')
  await refused('DELETE', '/personal_access_tokens/1', 'api')

  const reader = callsWith(world, await world.token('root', 'read_api'))
  for (const path of ['/user', '/personal_access_tokens', '/application/settings', '/projects'])
    t.equal((await reader('GET', path)).status, 200, path)
  for (const [method, path] of [
    ['PUT', '/application/settings'],
    ['POST', '/users'],
    ['DELETE', '/personal_access_tokens/1'],
  ] as const) {
    await refused(method, path, 'api', reader)
  }
  const profile = callsWith(world, await world.token('alice', 'read_user'))
  for (const path of ['/user', '/users', '/users/2', '/version', '/metadata', '/personal_access_tokens/self'])
    t.equal((await profile('GET', path)).status, 200, path)
  await refused('GET', '/personal_access_tokens', 'api read_api', profile)
})

t.test('what is not there', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api'))
  const missing = async (method: string, path: string, body: object) => {
    const answer = await root(method, path)
    t.equal(answer.status, 404, path)
    t.same(answer.body, body)
    t.equal(answer.headers['content-type'], 'application/json')
  }
  await missing('GET', '/nonsense', { error: '404 Not Found' })
  await missing('GET', '/%zz', { error: '404 Not Found' })
  await missing('GET', `/users/${'9'.repeat(2_000)}`, { error: '404 Not Found' })
  await missing('GET', '/users/999', { message: '404 User Not Found' })
  await missing('POST', '/users/999/block', { message: '404 User Not Found' })
  await missing('GET', '/projects/999', { message: '404 Project Not Found' })
  await missing('GET', '/personal_access_tokens/999', { message: '404 Not Found' })
  await missing('DELETE', '/personal_access_tokens/999', { message: '404 Not found' })
  const target = `http://elsewhere.example/api/v4/users?per_page=1`
  const token = await world.token('root', 'api')
  const proxied = await raw(
    world.url,
    `GET ${target} HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: ${token}\r\nConnection: close\r\n\r\n`,
  )
  t.match(proxied, /^HTTP\/1.1 200 /, "a proxy's absolute form is there")
  t.notMatch(proxied, 'elsewhere', 'and no link leads elsewhere')
  t.same((await callsWith(world)('GET', '/nonsense')).body, { error: '404 Not Found' }, 'for nobody, too')
})

t.test('a method that a path does not have', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api'))
  for (const [method, path, allowed] of [
    ['POST', '/personal_access_tokens', 'GET, HEAD'],
    ['PATCH', '/user', 'GET, HEAD'],
    ['GET', '/personal_access_tokens/self/rotate', 'POST'],
    ['OPTIONS', '/users', 'GET, HEAD, POST'],
  ] as const) {
    const answer = await root(method, path)
    t.equal(answer.status, 405, `${method} ${path}`)
    t.same(answer.body, { message: '405 Method Not Allowed' })
    t.equal(answer.headers['allow'], allowed)
  }
})

t.test('parameters that are wrong are named, all at once', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const root = callsWith(world, secret)
  const wrong = async (method: string, path: string, error: string, body?: unknown) => {
    const answer = await root(method, path, body)
    t.equal(answer.status, 400, path)
    t.same(answer.body, { error })
  }
  const mint = '/users/1/personal_access_tokens'
  await wrong('POST', mint, 'name is missing, scopes is missing')
  await wrong('POST', mint, 'name is missing', { scopes: ['api'] })
  await wrong('POST', mint, 'scopes is missing', { name: 'x', scopes: [] })
  await wrong('POST', mint, 'scopes does not have a valid value', { name: 'x', scopes: ['api', 'all'] })
  await wrong('POST', mint, 'expires_at is invalid', { name: 'x', scopes: ['api'], expires_at: '2026-02-30' })
  await wrong('POST', mint, 'body is invalid', [])
  await wrong('GET', '/users/x', 'id is invalid')
  await wrong('GET', '/users/0', 'id is invalid')
  await wrong('POST', '/users/x/personal_access_tokens', 'user_id is invalid', { name: 'x', scopes: ['api'] })
  await wrong(
    'GET',
    '/personal_access_tokens?state=x&revoked=x',
    'state does not have a valid value, revoked is invalid',
  )
  await wrong('GET', '/personal_access_tokens?page=x&per_page=y', 'page is invalid, per_page is invalid')
  for (const name of ['created', 'last_used', 'expires'].flatMap((word) => [`${word}_after`, `${word}_before`]))
    for (const value of ['x', '2026-02-30', '2026-13-01T00:00:00Z', '2026-01-01T99:00', ''])
      await wrong('GET', `/personal_access_tokens?${name}=${value}`, `${name} is invalid`)
})

t.test('bodies that can not be read', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const send = (type: string, body: string, method = 'POST', path = '/users/1/personal_access_tokens') =>
    call(world, path, { method, body, headers: { 'PRIVATE-TOKEN': secret, 'Content-Type': type } })
  for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/xml', 'nonsense'])
    t.equal((await send(type, 'name=x')).status, 415, type)
  for (const body of ['{', '{"name":', '\u0000', '{"__proto__":{"admin":true}}']) {
    const answer = await send('application/json', body)
    t.equal(answer.status, 400, body)
    t.same(answer.body, { message: '400 Bad request - the body can not be read' })
  }
  t.equal((await send('application/json', `"${'x'.repeat(300_000)}"`)).status, 413)
  t.equal((await send('application/json', '', 'DELETE', '/personal_access_tokens/999')).status, 404, 'no body at all')
})

t.test('a token is taken from wherever GitLab takes it, in its order', async (t) => {
  const world = await createWorld(t)
  const alice = await world.token('alice', 'api')
  const root = await world.token('root', 'api')
  const who = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await call(world, path, { headers })
    return answer.status === 200 ? (answer.body as { username: string }).username : answer.status
  }
  t.equal(await who(`/user?private_token=${alice}`), 'alice')
  t.equal(await who('/user', { 'PRIVATE-TOKEN': alice }), 'alice')
  t.equal(await who(`/user?access_token=${alice}`), 'alice')
  t.equal(await who('/user', { Authorization: `Bearer ${alice}` }), 'alice')
  t.equal(await who('/user', { Authorization: `bearer ${alice}` }), 'alice')
  t.equal(await who(`/user?bearer_token=${alice}`), 'alice')
  t.equal(await who(`/user?private_token=${alice}`, { 'PRIVATE-TOKEN': root }), 'alice')
  t.equal(await who(`/user?access_token=${root}`, { 'PRIVATE-TOKEN': alice }), 'alice')
  t.equal(await who(`/user?access_token=${alice}`, { Authorization: `Bearer ${root}` }), 'alice')
  t.equal(await who('/user?private_token=', { 'PRIVATE-TOKEN': alice }), 'alice', 'an empty one is none')
  t.equal(await who('/user', { 'PRIVATE-TOKEN': 'x', Authorization: `Bearer ${root}` }), 401, 'the first one counts')
  const basic = `Basic ${Buffer.from(`alice:${alice}`).toString('base64')}`
  t.equal(await who('/user', { Authorization: basic }), 401, 'Basic is for Git')

  const { token } = await world.issue('alice', ['api'])
  const carried = { ...form('', `private_token=${alice}`), method: 'POST' }
  t.equal((await call(world, `/personal_access_tokens/${token.id}/rotate`, carried)).status, 200, 'in a form')
  const json = await callsWith(world)('POST', '/users', { access_token: root, username: 'eve' })
  t.equal(json.status, 201, 'in JSON')
})
