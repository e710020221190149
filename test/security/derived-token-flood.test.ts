// Attack: a token that can derive others derives thousands, and each search through the account's tokens gets slower.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import { callsWith } from '../acceptance/api/calls.js'
import { createWorld } from '../acceptance/world.js'

const MAX_DERIVED_TOKENS = 1_000

t.test('a token derives at most 1,000 that have not expired, revoked or not', async (t) => {
  const world = await createWorld(t)
  const { token: parent, secret } = await world.issue('alice', ['api'])
  const call = callsWith(world, secret.reveal())
  const derive = () => call('POST', '/user/personal_access_tokens', { scopes: ['read_repository'] })
  const { id } = (await derive()).body as { id: number }
  const like = (await world.store.tokens.find(id))!
  for (let count = 1; count < MAX_DERIVED_TOKENS; count += 1) {
    const digest = new Secret(`digest ${count}`, 'digest')
    await world.store.tokens.add(GATE_CONTEXT, { ...like, digest })
  }
  t.match(await derive(), { status: 422, body: { message: /1000 tokens derived from token/ } })
  await world.store.tokens.revoke(GATE_CONTEXT, id, world.now)
  t.match(await derive(), { status: 422 })
  const { secret: other } = await world.issue('alice', ['api'])
  t.match(
    await callsWith(world, other.reveal())('POST', '/user/personal_access_tokens', { scopes: ['read_repository'] }),
    { status: 201 },
  )
  world.advance(2 * DAY)
  t.match(await derive(), { status: 201 })
  t.equal(await world.store.tokens.countDerived(parent.id, world.now), 1)
})
