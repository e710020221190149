// Attack, mostly on oneself: the same form is sent twice at once, by a double click or a proxy that tries again. It made
// two tokens, one of which nobody saw, and whose secret nobody has.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { hashSync } from 'bcrypt'
import t from 'tap'
import { Secret } from '../../src/core/secret.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'

const TOKENS = '/-/user_settings/personal_access_tokens'
const TWO_FACTOR = '/-/user_settings/two_factor_auth'
const PASSWORD = 'correct horse battery'
const FIELDS = { name: 'mine', scopes: 'read_repository', current_password: PASSWORD }

t.test('a form that is sent twice at once creates one token, which is shown', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('root', PASSWORD)
  const root = new FormClient(world.url)
  await root.signIn('root', PASSWORD)
  const { id } = await world.account('alice')
  for (const [list, owner] of [
    [TOKENS, (await world.account('root')).id],
    ['/-/admin/users/alice/impersonation_tokens', id],
  ] as const) {
    const csrf_token = await root.csrfToken(`${list}/new`)
    const answers = await Promise.all([1, 2, 3].map(() => root.send(list, { csrf_token, ...FIELDS })))
    t.same(
      answers.map(({ status, headers }) => [status, headers['location']]),
      answers.map(() => [303, list]),
    )
    t.equal((await world.store.tokens.list({ userId: owner })).length, 1, list)
    const { body } = await root.get(list)
    t.match(body, /ggpat-/, 'it is shown')
    t.match(body, 'This form was already submitted')
    t.equal((await root.submit(list, FIELDS, `${list}/new`)).status, 303)
    t.equal((await world.store.tokens.list({ userId: owner })).length, 2, 'a new form creates another')
  }
})

t.test('a form that was refused can be sent again', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const csrf_token = await alice.csrfToken(`${TOKENS}/new`)
  t.equal((await alice.send(TOKENS, { csrf_token, ...FIELDS, name: '' })).status, 422)
  t.equal((await alice.send(TOKENS, { csrf_token, ...FIELDS })).status, 303)
  t.equal((await world.store.tokens.list({})).length, 1)
})

// The same with recovery codes: those that were shown could be the ones that the other request had replaced.
t.test('recovery codes are renewed once', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const { id } = await world.account('alice')
  const seed = new Secret('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', 'seed')
  const hashes = [new Secret(hashSync('abcd-efgh-jkmn', 4), 'hash')]
  await world.store.twoFactors.enable(GATE_CONTEXT, id, seed, hashes, world.now)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  t.equal((await alice.submit('/users/sign_in/two_factor', { code: 'abcd-efgh-jkmn' })).status, 303)
  const csrf_token = await alice.csrfToken(TWO_FACTOR)
  const fields = { csrf_token, current_password: PASSWORD }
  await Promise.all([1, 2].map(() => alice.send(`${TWO_FACTOR}/recovery_codes`, fields)))
  const renewals = await world.store.audit.list({ action: 'two_factor.recovery_codes_replaced', limit: 10 })
  t.equal(renewals.length, 1)
  t.match((await alice.get(`${TWO_FACTOR}/recovery_codes`)).body, /[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}/)
})
