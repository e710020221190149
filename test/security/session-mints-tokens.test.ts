// Attack: who finds an administrator's browser open creates a token with `api` and `sudo`, and from then on needs neither
// the browser nor the password.
import t from 'tap'
import { FormClient } from '../pages/form-client.js'
import { createWorld } from '../acceptance/world.js'

const PAGE = '/-/user_settings/personal_access_tokens'
const PASSWORD = 'correct horse battery'

t.test("an administrator's session alone makes no token that administers", async (t) => {
  const world = await createWorld(t)
  const { id } = await world.account('root')
  for (const person of ['root', 'alice'] as const) await world.setPassword(person, PASSWORD)
  const root = new FormClient(world.url)
  await root.signIn('root', PASSWORD)
  const tokens = async () => (await world.store.tokens.list({ userId: id })).map(({ scopes }) => scopes.join(' '))
  const create = (fields: Record<string, string>, by = root) =>
    by.submit(PAGE, { name: 'mine', expires_in: '30', ...fields }, `${PAGE}/new`)

  t.match((await root.get(`${PAGE}/new`)).body, 'name="current_password"')
  for (const scopes of ['api', 'sudo']) {
    t.match(await create({ scopes }), { status: 422, body: /Wrong password/ }, scopes)
    t.match(await create({ scopes, current_password: 'wrong' }), { status: 422 }, scopes)
  }
  t.same(await tokens(), [])
  t.equal((await create({ scopes: 'write_repository' })).status, 303, 'for what does not administer, it is')
  t.equal((await create({ scopes: 'api', current_password: PASSWORD })).status, 303)
  t.same((await tokens()).sort(), ['api', 'write_repository'])

  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  t.notMatch((await alice.get(`${PAGE}/new`)).body, 'name="current_password"')
  t.equal((await create({ scopes: 'api' }, alice)).status, 303, 'who administers nothing is not asked')
})

// Attack: the same by rotating a token that is there: a new secret is as good as a new token.
t.test('nor does it rotate one', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('root', PASSWORD)
  const root = new FormClient(world.url)
  await root.signIn('root', PASSWORD)
  const { token } = await world.issue('root', ['api', 'sudo'])
  const { token: harmless } = await world.issue('root', ['read_repository'])
  const path = `${PAGE}/${token.id}/rotate`
  t.match((await root.get(path)).body, 'name="current_password"')
  t.match(await root.submit(path, { grace: '24h' }), { status: 422, body: /Wrong password/ })
  t.equal((await world.store.tokens.find(token.id))?.revokedAt, null)
  t.equal((await root.submit(path, { current_password: PASSWORD })).status, 303)
  t.not((await world.store.tokens.find(token.id))?.revokedAt, null)
  t.equal((await root.submit(`${PAGE}/${harmless.id}/rotate`, {})).status, 303)
})
