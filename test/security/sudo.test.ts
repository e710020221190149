// Attack: an administrator's token that can only read names an administrator in `Sudo`, and the scope check is skipped.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY, utcDate } from '../../src/core/clock.js'
import { callsWith } from '../acceptance/api/calls.js'
import { createWorld } from '../acceptance/world.js'

// Attack: a [read_api, sudo] token named its own account, changed settings and created an [api, sudo] token.
t.test('sudo to oneself is no sudo', async (t) => {
  const world = await createWorld(t)
  const root = await world.account('root')
  const call = callsWith(world, await world.token('root', 'read_api', 'sudo'))
  const insufficient = { status: 403, body: { error: 'insufficient_scope' } }
  for (const self of ['root', 'ROOT', String(root.id)]) {
    const headers = { Sudo: self }
    t.match(await call('PUT', '/application/settings', { push_to_create: false }, headers), insufficient)
    t.match(await call('PUT', `/application/settings?sudo=${self}`, { push_to_create: false }), insufficient)
    const draft = { name: 'more', scopes: ['api', 'sudo'] }
    t.match(await call('POST', `/users/${root.id}/personal_access_tokens`, draft, headers), insufficient)
    t.match(await call('GET', '/user', undefined, headers), { status: 200, body: { username: 'root' } })
  }
  t.notMatch(world.log, /sudoer/, 'the caller acts as themselves')
})

// Attack: the same through a second administrator.
t.test("sudo to another account never widens the token's scopes", async (t) => {
  const world = await createWorld(t)
  const boss = { username: 'boss', name: 'Boss', email: 'boss@example.com', admin: true, passwordHash: null }
  const { id } = await world.store.accounts.add(GATE_CONTEXT, boss, world.now)
  for (const scopes of [['read_api', 'sudo'], ['read_user', 'sudo'], ['sudo']] as const) {
    const call = callsWith(world, await world.token('root', ...scopes))
    const headers = { Sudo: 'boss' }
    const tries = [
      await call('PUT', '/application/settings', { push_to_create: false }, headers),
      await call('POST', `/users/${id}/personal_access_tokens`, { name: 'more', scopes: ['api', 'sudo'] }, headers),
      await call('POST', `/users/${id}/block`, {}, headers),
    ]
    for (const answer of tries) t.match(answer, { status: 403, body: { error: 'insufficient_scope' } })
  }
  t.equal((await world.store.tokens.list({ userId: id })).length, 0)
})

// Attack: an administrator's token with only [api] creates one with [sudo], or rotates one that has it and so gets its new secret.
t.test('a token without sudo gets none with it', async (t) => {
  const world = await createWorld(t)
  const { id } = await world.account('root')
  const call = callsWith(world, await world.token('root', 'api'))
  const { token } = await world.issue('root', ['api', 'sudo'])
  const draft = { name: 'more', scopes: ['api', 'sudo'], expires_at: utcDate(new Date(world.now.getTime() + DAY)) }
  const insufficient = { status: 403, body: { error: 'insufficient_scope', scope: 'sudo' } }
  t.match(await call('POST', `/users/${id}/personal_access_tokens`, draft), insufficient)
  t.match(await call('POST', `/users/${id}/impersonation_tokens`, draft), insufficient)
  t.match(await call('POST', `/personal_access_tokens/${token.id}/rotate`), insufficient)
  const input = `{ id: "gid://gitlab/PersonalAccessToken/${token.id}" }`
  const query = `mutation { personalAccessTokenRotate(input: ${input}) { token errors } }`
  const { body } = await world.http('/api/graphql', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'PRIVATE-TOKEN': await world.token('root', 'api') },
    body: JSON.stringify({ query }),
  })
  t.match(JSON.parse(body), { errors: [{ message: /permission/ }] })
  t.equal((await world.store.tokens.find(token.id))?.revokedAt, null)

  const both = callsWith(world, await world.token('root', 'api', 'sudo'))
  t.match(await both('POST', `/users/${id}/personal_access_tokens`, draft), { status: 201 })
  t.match(await both('POST', `/personal_access_tokens/${token.id}/rotate`), { status: 200 })
})
