import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { generateSync } from 'otplib'
import t from 'tap'
import { until } from '../acceptance/until.js'
import type { Test } from 'tap'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'
import { DAY, HOUR, MINUTE } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'

const PASSWORD = 'correct horse battery'
const SEED = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
const TWO_FACTOR = '/-/user_settings/two_factor_auth'

const open = async (t: Test): Promise<World> => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  return world
}
const signedIn = async (world: World): Promise<FormClient> => {
  const client = new FormClient(world.url)
  await client.signIn('alice', PASSWORD)
  return client
}
const isIn = async (client: FormClient): Promise<boolean> => (await client.get('/')).status === 200
const enable = async (world: World) =>
  world.store.twoFactors.enable(
    GATE_CONTEXT,
    (await world.account('alice')).id,
    new Secret(SEED, 'seed'),
    [new Secret('hash', 'hash')],
    world.now,
  )
const code = (world: World): string => generateSync({ secret: SEED, epoch: Math.floor(world.now.getTime() / 1_000) })
const auditedSignIns = async (world: World): Promise<string[]> =>
  (await world.store.audit.list({ via: 'web', limit: 100 })).map(({ action, username, rule }) =>
    [action, username, rule].filter((part) => part !== null).join(' '),
  )

t.test('a session ends after eight hours without a request, and after a week', async (t) => {
  const world = await open(t)
  const client = await signedIn(world)
  world.advance(8 * HOUR - MINUTE)
  t.ok(await isIn(client))
  world.advance(8 * HOUR - MINUTE)
  t.ok(await isIn(client), 'each request counts')
  world.advance(8 * HOUR)
  t.notOk(await isIn(client))

  const busy = await signedIn(world)
  for (let hours = 0; hours < 7 * 24 - 7; hours += 7) {
    t.ok(await isIn(busy))
    world.advance(7 * HOUR)
  }
  world.advance(7 * HOUR)
  t.notOk(await isIn(busy), 'a week at most')

  await world.set('session_expire_delay', '10')
  const short = await signedIn(world)
  world.advance(10 * MINUTE)
  t.notOk(await isIn(short), 'the setting')
  await signedIn(world)
  t.equal(
    (await world.store.sessions.list((await world.account('alice')).id)).length,
    1,
    'those that are over are gone',
  )
})

t.test('what changes how an account signs in ends its sessions on the very next request', async (t) => {
  const world = await open(t)
  const { id } = await world.account('alice')
  const changes: Record<string, () => Promise<unknown>> = {
    'a new password': () => world.setPassword('alice', PASSWORD),
    'a block': () => world.store.accounts.setState(GATE_CONTEXT, id, 'blocked'),
    'a second factor': () => enable(world),
  }
  for (const [name, change] of Object.entries(changes)) {
    await world.store.accounts.setState(GATE_CONTEXT, id, 'active')
    const client = await signedIn(world)
    t.ok(await isIn(client), `before ${name}`)
    await change()
    t.notOk(await isIn(client), name)
  }
  const enrolled = await signedIn(world)
  await enrolled.submit('/users/sign_in/two_factor', { code: code(world) })
  t.ok(await isIn(enrolled))
  await world.store.twoFactors.disable(GATE_CONTEXT, id)
  t.notOk(await isIn(enrolled), 'no second factor any more')
  const client = await signedIn(world)
  await world.store.accounts.remove(GATE_CONTEXT, await world.account('alice'))
  t.notOk(await isIn(client), 'the end of the account')
})

t.test('signing out ends the session for everybody who has its cookie', async (t) => {
  const world = await open(t)
  const client = await signedIn(world)
  const stolen = new FormClient(world.url)
  for (const [name, value] of client.cookies) stolen.cookies.set(name, value)
  t.ok(await isIn(stolen))
  await client.submit('/users/sign_out', {}, '/')
  t.notOk(await isIn(stolen))
  t.equal(client.cookies.has('gitgate_session'), false)
})

t.test('a password alone opens nothing where a second factor is on', async (t) => {
  const world = await open(t)
  await enable(world)
  const client = await signedIn(world)
  for (const path of ['/', TWO_FACTOR, '/-/user_settings/password', '/-/user_settings/active_sessions'])
    t.equal((await client.get(path)).status, 303, path)
  const half = client.cookies.get('gitgate_session')
  world.advance(5 * MINUTE)
  t.equal((await client.get('/users/sign_in/two_factor')).headers['location'], '/users/sign_in', 'five minutes')

  await client.signIn('alice', PASSWORD, { return_to: '/-/user_settings/password' })
  t.equal((await client.submit('/users/sign_in/two_factor', { code: '000000' })).status, 422)
  const answer = await client.submit('/users/sign_in/two_factor', { code: code(world) })
  t.equal(answer.headers['location'], '/-/user_settings/password', 'where they wanted to go')
  t.not(client.cookies.get('gitgate_session'), half, 'a new session')
  t.ok(await isIn(client))
  const again = await signedIn(world)
  t.equal(
    (await again.submit('/users/sign_in/two_factor', { code: code(world) })).status,
    422,
    'a code is good for once',
  )
  for (let guess = 1; guess < 10; guess++) await again.submit('/users/sign_in/two_factor', { code: '000000' })
  world.advance(MINUTE)
  const throttled = await again.submit('/users/sign_in/two_factor', { code: code(world) })
  t.equal(throttled.status, 429, 'and guesses are counted')
})

t.test('a password that stays the same is not taken for a new one', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const client = new FormClient(world.url)
  await client.signIn('alice', PASSWORD)
  const same = { password: PASSWORD, password_confirmation: PASSWORD }
  const answer = await client.submit('/-/user_settings/password', { current_password: PASSWORD, ...same })
  t.equal(answer.status, 422)
  t.match(answer.body, 'This is your current password. Choose a different one.')
  const guessed = await client.submit('/-/user_settings/password', { current_password: 'x'.repeat(9), ...same })
  t.notMatch(guessed.body, 'the password that you have', 'told only to who knows it')
})

t.test('who was signed out meanwhile signs in, and is not asked to sign out', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const client = new FormClient(world.url)
  t.equal((await client.get('/users/sign_out')).headers['location'], '/users/sign_in')
  t.equal((await client.get('/-/admin')).headers['location'], '/users/sign_in?return_to=%2F-%2Fadmin')
})

t.test('where a second factor is required, there is nothing but to set it up', async (t) => {
  const world = await open(t)
  await world.set('require_two_factor_authentication', 'true')
  const client = await signedIn(world)
  for (const path of ['/', '/-/user_settings/password', '/-/user_settings/active_sessions'])
    t.equal((await client.get(path)).headers['location'], TWO_FACTOR, path)
  const forced = await client.submit(
    '/-/user_settings/password',
    { current_password: PASSWORD, password: 'a new long password', password_confirmation: 'a new long password' },
    TWO_FACTOR,
  )
  t.equal(forced.headers['location'], TWO_FACTOR)
  const page = await client.get(TWO_FACTOR)
  t.match(page.body, 'Two-factor authentication is required.')
  const seed = (/id="seed">([^<]+)</.exec(page.body)?.[1] ?? '').replaceAll(' ', '')
  const right = generateSync({ secret: seed, epoch: Math.floor(world.now.getTime() / 1_000) })
  t.equal((await client.submit(TWO_FACTOR, { code: right, current_password: 'wrong' })).status, 422)
  t.equal((await client.submit(TWO_FACTOR, { code: right, current_password: PASSWORD })).status, 303)
  t.ok(await isIn(client))

  await world.set('two_factor_grace_period', '3')
  await world.setPassword('mallory', PASSWORD)
  const mallory = new FormClient(world.url)
  await mallory.signIn('mallory', PASSWORD)
  t.match((await mallory.get('/')).body, 'Two-factor authentication is required for your account from')
  world.advance(3 * DAY - HOUR)
  await mallory.signIn('mallory', PASSWORD)
  t.equal((await mallory.get('/')).status, 200)
})

t.test('guesses at a password are slowed, and Git is not', async (t) => {
  const world = await open(t)
  await world.seedRepository('alice/app')
  const client = new FormClient(world.url)
  for (let guess = 0; guess < 10; guess++) t.equal((await client.signIn('alice', `guess ${guess}`)).status, 422)
  const answer = await client.signIn('alice', PASSWORD)
  t.equal(answer.status, 429)
  t.match(answer.headers['retry-after'], /^\d+$/)
  t.match(answer.body, /Try again in \d+ minutes/)
  const git = await world.http('/alice/app.git/info/refs?service=git-upload-pack', {
    user: 'alice',
    password: PASSWORD,
  })
  t.equal(git.status, 200, 'the same password, over Git')
  await world.setPassword('mallory', PASSWORD)
  t.equal((await client.signIn('mallory', PASSWORD)).status, 303, 'another account')
})

t.test('the audit log records who signed in, and who tried', async (t) => {
  const world = await open(t)
  const client = new FormClient(world.url)
  await client.signIn('alice', 'wrong')
  await client.signIn('alice', PASSWORD)
  await client.submit('/-/user_settings/password', {
    current_password: PASSWORD,
    password: 'a new long password',
    password_confirmation: 'a new long password',
  })
  await client.submit('/users/sign_out', {}, '/')
  await until(async () => (await auditedSignIns(world)).length === 5)
  t.same((await auditedSignIns(world)).sort(), [
    'auth.refused alice wrong password',
    'session.ended alice',
    'session.started alice',
    'session.started alice',
    'user.password_changed alice',
  ])
})

t.test('an account without a password, and one that is blocked', async (t) => {
  const world = await open(t)
  const client = new FormClient(world.url)
  for (const password of ['', ' ', 'null']) t.equal((await client.signIn('root', password)).status, 422)
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('alice')).id, 'blocked')
  t.match((await client.signIn('alice', PASSWORD)).body, 'This account is blocked.')
  t.notMatch((await client.signIn('alice', 'wrong')).body, 'blocked', 'told only to who knows the password')
})

t.test('who does not take HTML gets the way in as text, and old addresses lead to the new', async (t) => {
  const world = await open(t)
  t.match((await world.http('/')).body, 'git clone')
  t.match((await world.http('/-/user_settings/personal_access_tokens')).body, 'gitgate token create')
  t.equal((await world.http('/users/sign_in')).body, 'Not Found')
  const old = await world.http('/-/profile/personal_access_tokens')
  t.match(old, { status: 301, headers: { location: '/-/user_settings/personal_access_tokens' } })
})
