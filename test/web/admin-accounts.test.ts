// What administrators do to accounts, and what they can't do to themselves.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { enrol } from '../../src/domain/accounts/two-factor.js'
import { Secret } from '../../src/core/secret.js'
import { FormClient } from '../pages/form-client.js'
import { administration, PASSWORD } from './administration.js'

const USERS = '/-/admin/users'

/** The usernames in a list. */
const namesIn = (body: string): string[] =>
  [...body.matchAll(/<a href="\/-\/admin\/users\/([^"]+)"><strong>/g)].map(([, name]) => name!)

t.test('the list is searched and filtered in the store, and has pages', async (t) => {
  const { world, root } = await administration(t)
  t.strictSame(namesIn((await root.get(USERS)).body), ['alice', 'mallory', 'root'])
  const list = async (query: string) => namesIn((await root.get(`${USERS}?${query}`)).body)
  t.strictSame(await list('search=ALICE%40example'), ['alice'])
  t.strictSame(await list('kind=administrators'), ['root'])
  t.strictSame(await list('kind=others&two_factor=off&state='), ['alice', 'mallory'])
  t.strictSame(await list('two_factor=on'), [])
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  t.strictSame(await list('state=blocked'), ['mallory'])
  t.match((await root.get(`${USERS}?search=nobody`)).body, 'No matching accounts')
  t.equal((await root.get(`${USERS}?state=odd`)).status, 400)
  for (let number = 10; number < 60; number += 1)
    await world.store.accounts.add(
      GATE_CONTEXT,
      { username: `u${number}`, name: 'u', email: null, admin: false, passwordHash: null },
      world.now,
    )
  t.equal((await list('page=1')).length, 50)
  t.strictSame(await list('page=2'), ['u57', 'u58', 'u59'])
  t.match((await root.get(`${USERS}?state=active`)).body, 'state=active&amp;page=2')
  const beyond = async (query: string) => (await root.get(`${USERS}?${query}`)).headers['location']
  t.equal(await beyond('state=active&page=99'), `${USERS}?state=active&page=2`)
  t.equal(await beyond('search=nobody&page=2'), `${USERS}?search=nobody`)
})

t.test('an account is made, with the rules of the command line', async (t) => {
  const { world, root } = await administration(t)
  await world.createRepository('team/app')
  const make = (fields: object) => {
    const plain = { username: 'bob', name: '', email: '', password: '', current_password: PASSWORD }
    return root.submit(USERS, { ...plain, ...fields }, '/-/admin/new_user')
  }
  const refused = {
    'must start with a letter': { username: '-x' },
    'is reserved for gitgate': { username: 'api' },
    'The username Alice is taken.': { username: 'Alice' },
    'There are repositories under team/': { username: 'team' },
    'is taken': { email: 'ALICE@example.com' },
    'is not an email address': { email: 'nowhere' },
    'too common': { password: 'password123' },
    'look like a token': { password: 'ggpat-something-long' },
    'control characters': { name: 'a\nb' },
    'Wrong password.': { current_password: 'not it' },
  }
  for (const [words, fields] of Object.entries(refused)) {
    const answer = await make(fields)
    t.equal(answer.status, 422, words)
    t.match(answer.body, words)
    t.notMatch(answer.body, 'ggpat-something-long', 'what was typed as a password is not sent back')
  }
  const made = await make({ name: 'Bob B.', email: 'bob@example.com', password: 'a new long password', admin: 'yes' })
  t.equal(made.headers['location'], `${USERS}/bob`)
  t.match((await root.get(`${USERS}/bob`)).body, /Account bob was created.*Bob B\..*bob@example.com/s)
  t.match(await world.store.accounts.findByUsername('bob'), { admin: true, state: 'active' })
  t.equal((await new FormClient(world.url).signIn('bob', 'a new long password')).status, 303)
  const [row] = await world.store.audit.list({ action: 'user.added', limit: 1 })
  t.match(row, { via: 'web', username: 'root', target: 'user:bob', ip: '127.0.0.1' })
})

t.test('an account gets another name and address, and becomes an administrator', async (t) => {
  const { world, root } = await administration(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const path = `${USERS}/alice`
  const edit = async (fields: object) => {
    const { name, email, admin } = await world.account('alice')
    const shown = { name, email: email ?? '', admin: admin ? 'yes' : '' }
    const was = { was_name: shown.name, was_email: shown.email, was_admin: shown.admin }
    return await root.submit(`${path}/edit`, { ...shown, ...was, current_password: PASSWORD, ...fields })
  }
  const refused = {
    'is not an email address': { email: 'nowhere' },
    'is taken': { email: 'ROOT@example.com' },
    'control characters': { name: 'a\nb' },
    'Wrong password.': { current_password: 'not it' },
  }
  const { id } = await world.account('root')
  await world.store.accounts.change(GATE_CONTEXT, id, { email: 'root@example.com' })
  for (const [words, fields] of Object.entries(refused)) {
    const answer = await edit(fields)
    t.equal(answer.status, 422, words)
    t.match(answer.body, words)
  }
  t.equal((await edit({ name: 'Alice A.' })).headers['location'], path)
  t.match((await root.get(path)).body, /Account alice was changed.*Alice A\./s)
  t.equal((await alice.get('/')).status, 200, 'a name signs nobody out')
  t.equal((await edit({ name: '', email: '', admin: 'yes' })).status, 303)
  t.match(await world.account('alice'), { name: 'alice', email: null, admin: true })
  t.equal((await alice.get('/')).status, 303, 'rights are taken up by signing in')
  const [row] = await world.store.audit.list({ action: 'user.changed', limit: 1 })
  t.match(row, { via: 'web', username: 'root', target: 'user:alice', details: { admin: { from: false, to: true } } })
  t.equal((await edit({ admin: '', email: 'alice@example.com' })).status, 303)
  t.match(await world.account('alice'), { admin: false, email: 'alice@example.com' })
  await edit({})
  t.match((await root.get(path)).body, 'Nothing to change.')
  t.equal(
    (await edit({ name: 'Al', admin: 'yes', was_admin: 'yes', was_email: 'a@b.example', email: 'a@b.example' })).status,
    303,
  )
  t.match(await world.account('alice'), { name: 'Al', admin: false, email: 'alice@example.com' }, 'a form that is old')

  const was = { was_name: 'root', was_email: 'root@example.com', was_admin: 'yes' }
  const self = { ...was, name: 'root', email: '', current_password: PASSWORD }
  t.notMatch((await root.get(`${USERS}/root/edit`)).body, 'name="admin"')
  t.equal((await root.submit(`${USERS}/root/edit`, self)).status, 303)
  t.match(await world.account('root'), { admin: true, email: null }, 'nobody ends their own administration')
})

t.test('an account is blocked, unblocked, given a password, and deleted', async (t) => {
  const { world, root } = await administration(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const path = `${USERS}/alice`
  // Refusals are written a moment later than changes, so they are left out.
  const last = async () =>
    (await world.store.audit.list({ user: 'root', decision: 'allowed', action: 'user', limit: 1 }))[0]

  t.match((await root.get(`${path}/block`)).body, 'Block alice?')
  t.equal((await world.account('alice')).state, 'active', 'to look changes nothing')
  t.equal((await root.submit(`${path}/block`, {})).headers['location'], path)
  t.equal((await world.account('alice')).state, 'blocked')
  t.equal((await alice.get('/')).status, 303, 'at once')
  t.match(await last(), { action: 'user.blocked', via: 'web', target: 'user:alice' })
  await root.submit(`${path}/unblock`, {})
  t.equal((await world.account('alice')).state, 'active')

  const set = (password: string, current_password = PASSWORD) =>
    root.submit(`${path}/password`, { password, current_password })
  t.match((await set('short')).body, 'at least 8 characters')
  t.match((await set('another horse battery', 'not it')).body, 'Wrong password.')
  t.equal((await set('another horse battery')).headers['location'], path)
  t.equal((await new FormClient(world.url).signIn('alice', 'another horse battery')).status, 303)
  t.match(await last(), { action: 'user.password_changed', via: 'web', target: 'user:alice' })

  t.match((await root.submit(`${path}/delete`, { username: 'ALICE' })).body, 'Type alice exactly as shown.')
  t.ok(await world.store.accounts.findByUsername('alice'))
  t.equal((await root.submit(`${path}/delete`, { username: 'alice' })).headers['location'], USERS)
  t.notOk(await world.store.accounts.findByUsername('alice'))
  t.equal((await root.get(path)).status, 404)
})

t.test(
  'administrators do nothing to themselves that would lock them out, or get past their own password',
  async (t) => {
    const { world, root } = await administration(t)
    const path = `${USERS}/ROOT`
    for (const act of ['block', 'delete', 'reset_two_factor']) {
      t.equal((await root.get(`${path}/${act}`)).status, 422, act)
      const fields = { username: 'root', current_password: PASSWORD }
      const csrf_token = await root.csrfToken('/-/user_settings/password')
      t.equal((await root.send(`${path}/${act}`, { ...fields, csrf_token })).status, 422, act)
    }
    t.equal((await root.get(`${path}/password`)).headers['location'], '/-/user_settings/password')
    const csrf_token = await root.csrfToken('/-/user_settings/password')
    const fields = { password: 'another horse battery', current_password: PASSWORD, csrf_token }
    t.equal((await root.send(`${path}/password`, fields)).status, 422)
    t.match(await world.account('root'), { state: 'active', admin: true })
    t.equal((await root.get('/')).status, 200, 'still signed in')
    t.notMatch(
      (await root.get(`${USERS}/root`)).body,
      /users\/root\/(block|delete|password|reset_two_factor)/,
      'nor is it offered',
    )
  },
)

t.test('a lost second factor is switched off', async (t) => {
  const { world, root } = await administration(t)
  const alice = await world.account('alice')
  await world.store.twoFactors.enable(
    GATE_CONTEXT,
    alice.id,
    enrol(alice, 'x').seed,
    [new Secret('hash', 'recovery code')],
    world.now,
  )
  const path = `${USERS}/alice/reset_two_factor`
  t.match((await root.submit(path, { current_password: 'not it' })).body, 'Wrong password.')
  t.match((await root.submit(path, {})).body, 'Wrong password.')
  t.equal((await world.account('alice')).twoFactorEnabled, true)
  await root.submit(path, { current_password: PASSWORD })
  t.equal((await world.account('alice')).twoFactorEnabled, false)
})
