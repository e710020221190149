// Attack, mostly on oneself: a client rotates its token in several requests at once. Those that come too late present a
// token that was rotated, which counts as stolen, and ended the token that the first of them was given.
import t from 'tap'
import { callsWith } from '../acceptance/api/calls.js'
import { createWorld } from '../acceptance/world.js'

const ROTATE = '/personal_access_tokens/self/rotate'
const MUTATION =
  'mutation($id: PersonalAccessTokenID!) { personalAccessTokenRotate(input: { id: $id }) { token errors } }'

type Made = { readonly token: string }

t.test('of four self/rotate at once one wins, and its token lives', async (t) => {
  const world = await createWorld(t)
  for (let round = 0; round < 5; round += 1) {
    const { secret } = await world.issue('alice', ['api'])
    const call = callsWith(world, secret.reveal())
    const answers = await Promise.all(Array.from({ length: 4 }, () => call('POST', ROTATE)))
    const winners = answers.filter(({ status }) => status === 200)
    t.equal(winners.length, 1)
    for (const { status } of answers.filter(({ status }) => status !== 200)) t.ok([400, 401].includes(status))
    const { token } = winners[0]?.body as Made
    t.equal((await callsWith(world, token)('GET', '/user')).status, 200)
  }
})

// The same, with the slowest of them on its way for as long as requests may be.
t.test('who comes after the rotation gets 401, and ends nothing for ten seconds', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const old = callsWith(world, secret.reveal())
  const winner = callsWith(world, ((await old('POST', ROTATE)).body as Made).token)
  const tries = [
    () => old('POST', ROTATE),
    () => old('GET', '/user'),
    () => old('DELETE', '/personal_access_tokens/self'),
  ]
  for (const again of tries) {
    t.equal((await again()).status, 401)
    t.equal((await winner('GET', '/user')).status, 200)
  }
  const body = JSON.stringify({ query: MUTATION, variables: { id: `gid://gitlab/PersonalAccessToken/${token.id}` } })
  const headers = { 'PRIVATE-TOKEN': secret.reveal(), 'Content-Type': 'application/json' }
  t.equal((await world.http('/api/graphql', { method: 'POST', headers, body })).status, 401)
  t.equal((await winner('GET', '/user')).status, 200)

  world.advance(10_000)
  t.equal((await old('GET', '/user')).status, 401)
  t.equal((await winner('GET', '/user')).status, 401, 'a thief still shows')
})
