// Attack: guesses fill the queue of password checks, so that a request waits for seconds between the moment it is let in
// and the moment it takes effect. What ends its right meanwhile must win.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import bcrypt from 'bcrypt'
import type { Test } from 'tap'
import t from 'tap'
import { MINUTE } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import { callsWith } from '../acceptance/api/calls.js'
import { until } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'

const OLD = 'correct horse battery'
const NEW = 'staple of another kind'
const SEED = new Secret('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', 'seed')

/** Holds the next call of a function of bcrypt until the test lets it go. */
function hold(t: Test, name: 'compare' | 'hash') {
  const original = bcrypt[name] as (...args: unknown[]) => Promise<unknown>
  const [arrival, release] = [deferred(), deferred()]
  const restore = (): void => void Object.assign(bcrypt, { [name]: original })
  t.teardown(restore)
  t.teardown(() => release.resolve())
  Object.assign(bcrypt, {
    [name]: async (...args: unknown[]) => {
      restore()
      arrival.resolve()
      await release.promise
      return await original(...args)
    },
  })
  return { arrived: arrival.promise, release: () => release.resolve() }
}

function deferred() {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

const enableTwoFactor = async (world: World, recoveryHash = 'hash') =>
  world.store.twoFactors.enable(
    GATE_CONTEXT,
    (await world.account('alice')).id,
    SEED,
    [new Secret(recoveryHash, 'hash')],
    world.now,
  )
const isIn = async (client: FormClient): Promise<boolean> => (await client.get('/')).status === 200
const open = async (t: Test): Promise<World> => {
  const world = await createWorld(t)
  await world.setPassword('alice', OLD)
  return world
}
const signedIn = async (world: World): Promise<FormClient> => {
  const client = new FormClient(world.url)
  await client.signIn('alice', OLD)
  return client
}

// What an owner does once they know that somebody has their password.
const CHANGES: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  'the password is changed': (world) => world.setPassword('alice', NEW),
  'two-factor authentication is turned on': (world) => enableTwoFactor(world),
  'the account is blocked': async (world) =>
    world.store.accounts.setState(GATE_CONTEXT, (await world.account('alice')).id, 'blocked'),
}

for (const [change, make] of Object.entries(CHANGES)) {
  t.test(`no session starts when ${change} during the check of the password`, async (t) => {
    const world = await open(t)
    const client = new FormClient(world.url)
    const check = hold(t, 'compare')
    const answer = client.signIn('alice', OLD)
    await check.arrived
    await make(world)
    check.release()
    t.match(await answer, { status: 303, headers: { location: '/users/sign_in?from=change' } })
    t.notOk(await isIn(client))
    t.same(await world.store.sessions.list((await world.account('alice')).id), [])
    await until(async () => (await world.store.audit.list({ action: 'auth.refused', limit: 1 })).length > 0)
    const [refused] = await world.store.audit.list({ action: 'auth.refused', limit: 1 })
    t.match(refused, { username: 'alice', rule: 'account changed during sign-in' })
  })

  // The same for Git, which takes the password with each request.
  t.test(`Git is refused when ${change} during the check of the password`, async (t) => {
    const world = await open(t)
    await world.grant('alice', 'write', '**')
    await world.seedRepository('team/app')
    const check = hold(t, 'compare')
    const answer = world.http('/team/app.git/info/refs?service=git-receive-pack', { user: 'alice', password: OLD })
    await check.arrived
    await make(world)
    check.release()
    t.equal((await answer).status, 401)
  })
}

// Attack: the thief's recovery code is being checked while the owner changes the password.
t.test('no session starts when the password is changed during the check of the second factor', async (t) => {
  const world = await open(t)
  await enableTwoFactor(world, await bcrypt.hash('abcd-efgh-jkmn', 4))
  const client = await signedIn(world)
  const check = hold(t, 'compare')
  const answer = client.submit('/users/sign_in/two_factor', { code: 'abcd-efgh-jkmn' })
  await check.arrived
  await world.setPassword('alice', NEW)
  check.release()
  t.match(await answer, { status: 303, headers: { location: '/users/sign_in?from=change' } })
  t.notOk(await isIn(client))
})

// Attack: who holds a session and the old password changes both while the owner does, and wins by being slower.
for (const [path, fields] of [
  ['/-/user_settings/password', { password: 'of the thief', password_confirmation: 'of the thief' }],
  ['/-/user_settings/two_factor_auth/recovery_codes', {}],
  ['/-/user_settings/two_factor_auth/disable', {}],
] as const) {
  t.test(`a session that has ended changes nothing: ${path}`, async (t) => {
    const world = await open(t)
    const code = 'abcd-efgh-jkmn'
    await enableTwoFactor(world, await bcrypt.hash(code, 4))
    const client = await signedIn(world)
    await client.submit('/users/sign_in/two_factor', { code })
    const csrf_token = await client.csrfToken('/-/user_settings/password')
    // A password that was right is remembered for a minute.
    world.advance(2 * MINUTE)
    const check = hold(t, 'compare')
    const answer = client.send(path, { csrf_token, current_password: OLD, ...fields })
    await check.arrived
    await world.setPassword('alice', NEW)
    const owner = await world.account('alice')
    const secondFactor = await world.store.twoFactors.find(owner.id)
    check.release()
    t.match(await answer, { status: 422, body: /Your session ended in the meantime; nothing was changed/ })
    t.equal((await world.account('alice')).passwordHash?.reveal(), owner.passwordHash?.reveal())
    t.same(await world.store.twoFactors.find(owner.id), secondFactor)
  })
}

// Attack: an administrator's stolen token adds an account; its password is hashed while the token is revoked.
t.test('a token that was revoked, or whose owner lost the right, changes nothing any more', async (t) => {
  const world = await createWorld(t)
  const root = await world.account('root')
  const ways: readonly ((tokenId: number) => Promise<unknown>)[] = [
    (tokenId) => world.store.tokens.revoke(GATE_CONTEXT, tokenId, world.now),
    () => world.store.accounts.change(GATE_CONTEXT, root.id, { admin: false }),
    () => world.store.accounts.setState(GATE_CONTEXT, root.id, 'blocked'),
  ]
  for (const take of ways) {
    await world.store.accounts.setState(GATE_CONTEXT, root.id, 'active')
    await world.store.accounts.change(GATE_CONTEXT, root.id, { admin: true })
    const { token, secret } = await world.issue('root', ['api'])
    const hashing = hold(t, 'hash')
    const account = { username: 'ghost', name: 'Ghost', email: 'ghost@example.com', password: NEW }
    const answer = callsWith(world, secret.reveal())('POST', '/users', account)
    await hashing.arrived
    await take(token.id)
    hashing.release()
    t.match(await answer, { status: 422, body: { message: /lost this right in the meantime/ } })
    t.equal(await world.store.accounts.findByUsername('ghost'), undefined)
  }
})
