// Attack: a call of the API or a form of a page is authenticated by its headers and holds back the last byte of its body. Meanwhile
// an administrator takes the right away. Then the byte comes, and the call is done as if nothing had changed.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { callsWith } from '../acceptance/api/calls.js'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'
import { holdLastByte } from './held-request.js'

const JSON_TYPE = { 'Content-Type': 'application/json' }
const PASSWORD = 'correct horse battery'
const TOKENS = '/-/user_settings/personal_access_tokens'
const QUERY = JSON.stringify({ query: '{ currentUser { username personalAccessTokens { nodes { name } } } }' })

const hold = (world: World, path: string, secret: string, body: string) =>
  holdLastByte(world, path, { ...JSON_TYPE, 'PRIVATE-TOKEN': secret }, body)

async function block(world: World): Promise<void> {
  const { id } = await world.account('alice')
  await world.store.accounts.setState(GATE_CONTEXT, id, 'blocked')
}

t.test('a held query gets nothing once its token is revoked or its account blocked', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['read_api'])
  const first = await hold(world, '/api/graphql', secret.reveal(), QUERY)
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  t.match(await first.finish(), { status: 401, body: /Invalid token/ })
  const second = await hold(world, '/api/graphql', await world.token('alice', 'read_api'), QUERY)
  await block(world)
  t.match(await second.finish(), { status: 403, body: /not accessible/ })
})

t.test('a held call changes nothing once tokens are turned off', async (t) => {
  const world = await createWorld(t)
  const grant = JSON.stringify({ subject: 'mallory', role: 'admin', pattern: 'team/**' })
  const held = await hold(world, '/api/v4/gitgate/grants', await world.token('root', 'api'), grant)
  await world.set('disable_personal_access_tokens', 'true')
  t.match(await held.finish(), { status: 401 })
  t.strictSame(await world.store.grants.list(), [])
})

t.test('a held call changes nothing once impersonation is turned off', async (t) => {
  const world = await createWorld(t)
  const { secret } = await world.issue('root', ['api'], { impersonation: true })
  const held = await hold(world, '/api/v4/users', secret.reveal(), JSON.stringify({ username: 'eve', admin: true }))
  await world.set('impersonation_enabled', 'false')
  t.match(await held.finish(), { status: 401 })
  t.equal(await world.store.accounts.findByUsername('eve'), undefined)
})

t.test('a held call is done when something else changes', async (t) => {
  const world = await createWorld(t)
  const held = await hold(world, '/api/graphql', await world.token('alice', 'read_api'), QUERY)
  await world.grant('mallory', 'read', 'docs/**')
  t.match(await held.finish(), { status: 200, body: /"username":"alice"/ })
})

// Attack: the token in the headers is revoked, and the body names another that is valid: the call would change its caller.
t.test('a held call does not change its token', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['read_api'])
  const body = JSON.stringify({ ...JSON.parse(QUERY), private_token: await world.token('mallory', 'read_api') })
  const held = await hold(world, '/api/graphql', secret.reveal(), body)
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  t.match(await held.finish(), { status: 401 })
})

t.test('a held form creates no token once a second factor is required', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const fields = { name: 'held', scopes: 'write_repository', expiry: 'never' }
  const form = async () => new URLSearchParams({ csrf_token: await alice.csrfToken(`${TOKENS}/new`), ...fields })
  const headers = {
    Accept: 'text/html',
    'Content-Type': 'application/x-www-form-urlencoded',
    Cookie: [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
  }
  const held = await holdLastByte(world, TOKENS, headers, (await form()).toString())
  await world.set('require_two_factor_authentication', 'true')
  t.match(await held.finish(), { status: 303, location: '/-/user_settings/two_factor_auth' })
  t.strictSame(await world.store.tokens.list({ userId: (await world.account('alice')).id }), [])
})

// Attack: a token holder opens connections and never ends the bodies of its calls.
t.test('the body of an authenticated call has a deadline', async (t) => {
  const world = await createWorld(t, {}, undefined, { intervals: { requestTimeoutMs: 300 } })
  const secret = await world.token('root', 'api')
  await hold(world, '/api/graphql', secret, QUERY)
  await until(() => world.log.includes('body too late'))
  t.match(await callsWith(world, secret)('GET', '/user'), { status: 200 })
})
