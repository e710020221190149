// Ways to more than one has, that were found.
import t from 'tap'
import { HOUR } from '../../src/core/clock.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { createWorld } from '../acceptance/world.js'

const CREATE =
  'mutation { personalAccessTokenCreate(input: { name: "p", scopes: ["write_repository"] }) { token errors } }'

// Attack: a limited token of an administrator, with sudo, made itself a token of another account.
t.test('with sudo nothing is derived, by either API', async (t) => {
  const world = await createWorld(t)
  const restrictions = parseRestrictions(['team/*'], [])
  const { secret } = await world.issue('root', ['api', 'sudo'], { restrictions })
  const headers = { 'PRIVATE-TOKEN': secret.reveal(), Sudo: 'alice', 'Content-Type': 'application/json' }
  const graphql = await world.http('/api/graphql', { method: 'POST', headers, body: JSON.stringify({ query: CREATE }) })
  t.match(JSON.parse(graphql.body), {
    data: { personalAccessTokenCreate: { token: null, errors: [/can't be derived with sudo/] } },
  })
  const body = JSON.stringify({ scopes: ['write_repository'] })
  t.equal((await world.http('/api/v4/user/personal_access_tokens', { method: 'POST', headers, body })).status, 403)
  t.match(world.log, /"user":"alice","token_id":\d+,"sudoer":"root"/)
})

// Attack: who still holds an old secret in its grace derived a token that outlived it.
t.test('nothing is derived from a token that is about to end', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const other = await world.token('alice', 'api')
  const post = (path: string, by: string, body: object) =>
    world.http(`/api/v4/${path}`, {
      method: 'POST',
      headers: { 'PRIVATE-TOKEN': by, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  t.equal((await post(`personal_access_tokens/${token.id}/rotate`, other, { grace: '2h' })).status, 200)
  const derived = await post('user/personal_access_tokens', secret.reveal(), { scopes: ['write_repository'] })
  t.equal(derived.status, 422)
  t.match(derived.body, /derive from its successor/)
  world.advance(3 * HOUR)
})

// Attack: a `sudo` that can't be read was none, so that the call was the administrator's own.
t.test('an unreadable sudo is refused', async (t) => {
  const world = await createWorld(t)
  const headers = { 'PRIVATE-TOKEN': await world.token('root', 'api', 'sudo') }
  t.equal((await world.http('/api/v4/user?sudo[]=alice', { headers })).status, 400)
})

t.test('settings that are null, and queries of brackets, are answered', async (t) => {
  const world = await createWorld(t)
  const headers = { 'PRIVATE-TOKEN': await world.token('root', 'api'), 'Content-Type': 'application/json' }
  const put = await world.http('/api/v4/application/settings', {
    method: 'PUT',
    headers,
    body: JSON.stringify({ personal_access_token_prefix: null }),
  })
  t.match(JSON.parse(put.body), { personal_access_token_prefix: '' })
  const body = JSON.stringify({ query: `{a(b:${'['.repeat(4_800)}` })
  const nested = await world.http('/api/graphql', { method: 'POST', headers, body })
  t.equal(nested.status, 200)
  t.match(JSON.parse(nested.body), { errors: [{}] })
})

t.test('a span within the lifetime limit is taken at any time of the day', async (t) => {
  const world = await createWorld(t)
  await world.set('max_personal_access_token_lifetime', '1')
  const in12Hours = new Date(world.now.getTime() + 12 * HOUR)
  const in24Hours = new Date(world.now.getTime() + 24 * HOUR)
  for (const expiry of [in12Hours, in24Hours]) await world.issue('alice', ['api'], { expiry })
  await t.rejects(world.issue('alice', ['api'], { expiry: new Date(in24Hours.getTime() + 1) }), { code: 'forbidden' })
})
