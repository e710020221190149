// Attack: a token holder sends JSON with a list of 130,000 wrong entries (260 KB). Validation reported each of them, which blocked
// the gate for 0.2 s.
import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { boundLists } from '../../src/api/rest/api-body.js'
import { callsWith } from '../acceptance/api/calls.js'
import { createWorld } from '../acceptance/world.js'

t.test('a list is refused by its length, before its entries are looked at', async (t) => {
  const world = await createWorld(t)
  const call = callsWith(world, await world.token('alice', 'api'))
  for (const name of ['scopes', 'refs', 'repositories', 'unknown']) {
    const answer = await call('POST', '/user/personal_access_tokens', { [name]: new Array<number>(120_000).fill(0) })
    // Without the bound, the mistakes of all parameters would be reported.
    t.match(answer, { status: 400, body: { error: `${name} is invalid` } })
  }
})

t.test('a list as long as that of a form passes on to validation', async (t) => {
  t.doesNotThrow(() => boundLists({ body: { scopes: new Array<number>(1_000).fill(0) } } as FastifyRequest))
  t.throws(() => boundLists({ body: { scopes: new Array<number>(1_001).fill(0) } } as FastifyRequest))
})
