// Rotation over the API: who may, until when the new token lives, and what happens to those who use an old one.
import t from 'tap'
import { DAY, utcDate } from '../../../src/core/clock.js'
import { createWorld } from '../world.js'
import type { ApiAnswer } from './calls.js'
import { callsWith } from './calls.js'

type Made = { readonly id: number; readonly token: string }
const made = ({ body }: ApiAnswer) => body as Made

t.test('a token is rotated into one of the same name, scopes and limits', async (t) => {
  const world = await createWorld(t)
  const days = (count: number) => utcDate(new Date(world.now.getTime() + count * DAY))
  const expiry = new Date(`${days(30)}T00:00:00Z`)
  const draft = { name: 'ci', description: 'nightly', expiry }
  const old = await world.issue('alice', ['read_api', 'write_repository'], draft)
  const alice = callsWith(world, await world.token('alice', 'api'))
  const answer = await alice('POST', `/personal_access_tokens/${old.token.id}/rotate`)
  t.equal(answer.status, 200)
  const same = { name: 'ci', description: 'nightly', scopes: ['read_api', 'write_repository'], impersonation: false }
  t.match(answer.body, { ...same, expires_at: days(7), active: true, revoked: false, token: /^ggpat-/ })
  t.not(made(answer).id, old.token.id)
  t.match((await alice('GET', `/personal_access_tokens/${old.token.id}`)).body, { revoked: true })
  t.equal((await callsWith(world, made(answer).token)('GET', '/user')).status, 200)

  const wish = { expires_at: days(20) }
  const dated = await alice('POST', `/personal_access_tokens/${made(answer).id}/rotate`, wish)
  t.match(dated, { status: 200, body: { ...same, expires_at: days(20) } })
  const queried = await alice('POST', `/personal_access_tokens/${made(dated).id}/rotate?expires_at=${days(3)}`)
  t.match(queried, { status: 200, body: { ...same, expires_at: days(3) } })
})

t.test('who may rotate, and what can not be', async (t) => {
  const world = await createWorld(t)
  const alice = callsWith(world, await world.token('alice', 'api'))
  const root = callsWith(world, await world.token('root', 'api'))
  const [hidden, other] = [
    await world.issue('alice', ['api'], { impersonation: true }),
    await world.issue('mallory', ['api']),
  ]
  for (const id of [hidden.token.id, other.token.id, 999]) {
    const answer = await alice('POST', `/personal_access_tokens/${id}/rotate`)
    t.same([answer.status, answer.body], [401, { message: '401 Unauthorized' }])
  }
  t.equal((await root('POST', '/personal_access_tokens/999/rotate')).status, 404)
  t.match((await root('POST', `/personal_access_tokens/${hidden.token.id}/rotate`)).body, { impersonation: true })
  t.match((await root('POST', `/personal_access_tokens/${other.token.id}/rotate`)).body, {
    user_id: other.token.userId,
  })
  const again = await root('POST', `/personal_access_tokens/${other.token.id}/rotate`)
  t.same([again.status, again.body], [400, { message: '400 Bad request - Token already revoked' }])
  const { token } = await world.issue('alice', ['api'])
  const path = `/personal_access_tokens/${token.id}/rotate`
  t.same((await alice('POST', path, { expires_at: 'soon' })).body, { error: 'expires_at is invalid' })
  t.match(await alice('POST', path, { expires_at: '2020-01-01' }), {
    status: 400,
    body: { message: /^400 Bad request - / },
  })
  t.match((await alice('GET', `/personal_access_tokens/${token.id}`)).body, { active: true }, 'nothing was lost')
})

t.test('a token rotates itself', async (t) => {
  const world = await createWorld(t)
  const { secret } = await world.issue('alice', ['api'], { name: 'self' })
  const answer = await callsWith(world, secret.reveal())('POST', '/personal_access_tokens/self/rotate')
  t.match(answer, { status: 200, body: { name: 'self', token: /^ggpat-/ } })
  t.equal((await callsWith(world, made(answer).token)('GET', '/user')).status, 200)
  t.equal((await callsWith(world, secret.reveal())('GET', '/user')).status, 401)
})

t.test('of two rotations at once, one wins', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api'))
  for (let round = 0; round < 5; round++) {
    const { token } = await world.issue('alice', ['api'], { name: `race${round}` })
    const path = `/personal_access_tokens/${token.id}/rotate`
    const answers = await Promise.all(Array.from({ length: 4 }, () => root('POST', path)))
    t.same(answers.map(({ status }) => status).sort(), [200, 400, 400, 400])
    const list = await root('GET', `/personal_access_tokens?search=race${round}&state=active`)
    t.equal((list.body as unknown[]).length, 1, 'one token lives')
  }
})

// Whoever stole a secret before its rotation, or was rotated away by a thief, shows it by using the old one.
t.test('who presents a token that was rotated ends all that came of it', async (t) => {
  const world = await createWorld(t)
  const calls = (secret: string) => callsWith(world, secret)
  const stolen = (await world.issue('alice', ['api'])).secret.reveal()
  const rotate = async (secret: string) =>
    made(await calls(secret)('POST', '/personal_access_tokens/self/rotate')).token
  const second = await rotate(stolen)
  const third = await rotate(second)
  const child = made(await calls(third)('POST', '/user/personal_access_tokens', { scopes: ['read_repository'] })).token
  const bystander = await world.token('alice', 'api')
  const status = async (secret: string) => (await calls(secret)('GET', '/personal_access_tokens/self')).status
  t.same([await status(third), await status(child)], [200, 200])
  await world.http('/alice/x.git/info/refs?service=git-upload-pack', { password: stolen })
  t.equal(await status(third), 200, 'Git requests end nothing')
  await calls(stolen)('GET', '/version')
  t.equal(await status(third), 200, 'nor does a request that may have been on its way')
  world.advance(10_000)
  const reuse = await calls(stolen)('GET', '/version')
  t.match(reuse, { status: 401, body: { error_description: /^Token was revoked\./ } })
  t.same([await status(second), await status(third), await status(child)], [401, 401, 401])
  t.equal(await status(bystander), 200, 'others live on')
})

t.test('with grace the old secret works on, but not where a token rotates itself', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const other = await world.token('alice', 'api')
  const rotate = (by: string) =>
    world.http(`/api/v4/personal_access_tokens/${token.id}/rotate?grace=2h`, {
      method: 'POST',
      headers: { 'PRIVATE-TOKEN': by },
    })
  const status = async () =>
    (await world.http('/api/v4/user', { headers: { 'PRIVATE-TOKEN': secret.reveal() } })).status
  t.equal((await rotate(secret.reveal())).status, 403)
  t.equal((await rotate(other)).status, 200)
  t.equal(await status(), 200)
  world.advance(3 * 3_600_000)
  t.equal(await status(), 401)
})
