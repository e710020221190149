// What the domain may expect of its stores, whichever database is under them.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { AccessMemory } from '../../src/domain/access/memory.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'
import { Secret } from '../../src/core/secret.js'
import { newToken } from './new-token.js'
import { NOON, addAccount, openTemporaryStore } from './temporary-store.js'

function hash(text: string): Secret {
  return new Secret(text, 'password hash')
}

t.test('an account is found by its number, its username and its address, in any case', async (t) => {
  const { accounts } = openTemporaryStore(t)
  const given = { username: 'Alice', name: 'Ada L.', email: 'Ada@Example.com', admin: true, passwordHash: hash('$2b$') }
  const alice = await accounts.add(GATE_CONTEXT, given, NOON)
  t.match(alice, { ...given, passwordHash: Secret, state: 'active', twoFactorEnabled: false, createdAt: NOON })
  t.equal(alice.passwordHash?.reveal(), '$2b$')
  t.strictSame(await accounts.find(alice.id), alice)
  for (const name of ['Alice', 'alice', 'ALICE']) t.strictSame(await accounts.findByUsername(name), alice, name)
  for (const login of ['aLICE', 'Ada@Example.com', 'ada@example.com']) {
    t.strictSame(await accounts.findByLogin(login), alice, login)
  }
  for (const other of ['', 'alic', 'alice ', '%', '_lice', 'Ada@Example.com']) {
    t.equal(await accounts.findByUsername(other), undefined, other)
  }
  t.equal(await accounts.findByLogin(''), undefined)
  t.equal(await accounts.find(alice.id + 1), undefined)
})

t.test('an address with letters beyond ASCII is found as it was given, and in another case', async (t) => {
  const store = openTemporaryStore(t)
  const zoe = await addAccount(store, 'zoe', { email: 'Zoë@ÉCOLE.example' })
  for (const login of ['Zoë@ÉCOLE.example', 'zoë@école.example', 'ZOË@ÉCOLE.EXAMPLE'])
    t.equal((await store.accounts.findByLogin(login))?.id, zoe.id, login)
  await t.rejects(addAccount(store, 'other', { email: 'zoë@école.example' }), { code: 'conflict' })
})

t.test('a username or an address that is taken in another case is a conflict that names it', async (t) => {
  const store = openTemporaryStore(t)
  await addAccount(store, 'alice', { email: 'a@example.com' })
  await t.rejects(addAccount(store, 'ALICE'), {
    code: 'conflict',
    field: 'username',
    message: 'the username ALICE is taken',
  })
  const sameAddress = addAccount(store, 'bob', { email: 'A@EXAMPLE.com' })
  await t.rejects(sameAddress, {
    code: 'conflict',
    field: 'email',
    message: 'the email address A@EXAMPLE.com is taken',
  })
  t.equal((await store.accounts.list()).length, 1)
  await addAccount(store, 'bob')
  await addAccount(store, 'carol')
  t.equal((await store.accounts.list()).length, 3, 'any number have no address')
})

t.test('accounts are listed by their usernames, whatever the case', async (t) => {
  const store = openTemporaryStore(t)
  for (const username of ['carol', 'Bob', 'alice']) await addAccount(store, username)
  const names = (await store.accounts.list()).map(({ username }) => username)
  t.strictSame(names, ['alice', 'Bob', 'carol'])
})

t.test('the state and the password of one account are changed, and of no other', async (t) => {
  const store = openTemporaryStore(t)
  const [alice, bob] = [await addAccount(store, 'alice'), await addAccount(store, 'bob')]
  await store.accounts.setState(GATE_CONTEXT, alice.id, 'blocked')
  await store.accounts.setPasswordHash(GATE_CONTEXT, alice.id, hash('$2b$new'))
  const changed = await store.accounts.find(alice.id)
  t.equal(changed?.state, 'blocked')
  t.equal(changed?.passwordHash?.reveal(), '$2b$new')
  t.strictSame(await store.accounts.find(bob.id), bob)
})

t.test('a deleted account takes its tokens, its second factor and its grants along', async (t) => {
  const store = openTemporaryStore(t)
  const [alice, bob] = [await addAccount(store, 'Alice'), await addAccount(store, 'bob')]
  const token = await store.tokens.add(GATE_CONTEXT, newToken(alice.id))
  const kept = await store.tokens.add(GATE_CONTEXT, newToken(bob.id))
  await store.twoFactors.enable(GATE_CONTEXT, alice.id, new Secret('SEED', 'seed'), [hash('code')], NOON)
  for (const subject of ['alice', 'bob', '@all'])
    await store.grants.put(GATE_CONTEXT, { subject, role: 'read', pattern: '**' }, NOON)
  await store.accounts.remove(GATE_CONTEXT, alice)

  t.equal(await store.accounts.find(alice.id), undefined)
  t.equal(await store.tokens.find(token.id), undefined)
  t.equal(await store.twoFactors.find(alice.id), undefined)
  t.strictSame(await store.tokens.list({}), [kept])
  t.strictSame((await store.grants.list()).map(({ subject }) => subject).toSorted(), ['@all', 'bob'])

  // A later account of the same name is another one, with another number, and inherits nothing.
  const later = await addAccount(store, 'alice')
  t.ok(later.id > bob.id)
  t.equal(later.twoFactorEnabled, false)
  t.strictSame(await store.tokens.list({ userId: later.id }), [])
})

t.test('a second factor is kept with its codes; steps go forward only, codes are used up', async (t) => {
  const { twoFactors, ...store } = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice')
  t.equal(await twoFactors.find(id), undefined)
  t.equal(await twoFactors.takeStep(id, 1), false)
  await twoFactors.enable(GATE_CONTEXT, id, new Secret('SEED', 'seed'), [hash('one'), hash('two')], NOON)
  const found = (await twoFactors.find(id))!
  t.equal(found.seed.reveal(), 'SEED')
  t.strictSame(found.recoveryCodes.map((code) => code.hash.reveal()).toSorted(), ['one', 'two'])
  const steps = []
  for (const step of [10, 10, 9, 11, 10]) steps.push(await twoFactors.takeStep(id, step))
  t.strictSame(steps, [true, false, false, true, false])
  const [code] = found.recoveryCodes
  t.equal(await twoFactors.takeRecoveryCode(GATE_CONTEXT, code!.id), true)
  t.equal(await twoFactors.takeRecoveryCode(GATE_CONTEXT, code!.id), false)
  t.equal((await twoFactors.find(id))?.recoveryCodes.length, 1)
  await twoFactors.disable(GATE_CONTEXT, id)
  t.equal(await twoFactors.find(id), undefined)
  t.equal(await twoFactors.takeRecoveryCode(GATE_CONTEXT, found.recoveryCodes[1]!.id), false)
})

t.test('there is one grant for a subject and a pattern, whose role the last word decides', async (t) => {
  const { grants } = openTemporaryStore(t)
  const first = await grants.put(GATE_CONTEXT, { subject: 'alice', role: 'write', pattern: 'team/*' }, NOON)
  const again = await grants.put(GATE_CONTEXT, { subject: 'alice', role: 'read', pattern: 'team/*' }, NOON)
  t.strictSame(again, { ...first, role: 'read' })
  const everybody = await grants.put(GATE_CONTEXT, { subject: '@all', role: 'read', pattern: 'docs/*' }, NOON)
  t.strictSame(await grants.list(), [everybody, again], 'listed by their patterns')
  t.strictSame(await grants.listFor(['alice', '@anonymous']), [again])
  t.strictSame(await grants.listFor(['ALICE']), [again], 'usernames count in any case')
  const all = { offset: 0, limit: 10 }
  t.strictSame(await grants.search('', { offset: 1, limit: 1 }), { grants: [again], total: 2 })
  t.strictSame(await grants.search('TEAM/', all), { grants: [again], total: 1 })
  t.strictSame(await grants.search('_', all), { grants: [], total: 0 }, 'a text, not a pattern')
  t.strictSame(await grants.find('alice', 'team/*'), again)
  t.equal(await grants.find('alice', 'docs/*'), undefined)
  t.strictSame(await grants.listFor([]), [])
  t.equal(await grants.remove(GATE_CONTEXT, 'alice', 'team/**'), false)
  t.equal(await grants.remove(GATE_CONTEXT, 'alice', 'team/*'), true)
  t.equal(await grants.remove(GATE_CONTEXT, 'alice', 'team/*'), false)
  t.strictSame(await grants.list(), [everybody])
})

t.test('there is one protection for two patterns, whose levels the last word decides', async (t) => {
  const { protections, access } = openTemporaryStore(t)
  const levels = { push: 'write', force: 'nobody', delete: 'admin' } as const
  const main = { repositories: 'team/*', refs: 'refs/heads/main', ...levels }
  const first = await protections.put(GATE_CONTEXT, main, NOON)
  t.strictSame(first, { ...main, id: first.id })
  const tags = await protections.put(GATE_CONTEXT, { ...main, refs: 'refs/tags/*' }, NOON)
  const others = { push: 'admin', force: 'admin', delete: 'nobody' } as const
  const again = await protections.put(GATE_CONTEXT, { ...main, ...others }, NOON)
  t.strictSame(again, { ...first, ...others })
  t.strictSame(await protections.list(), [again, tags])
  t.strictSame(await access.listProtectionsFor(parseRepositoryPath('TEAM/app')!), [again, tags])
  t.equal(await protections.remove(GATE_CONTEXT, 'team/**', main.refs), false)
  t.equal(await protections.remove(GATE_CONTEXT, 'team/*', main.refs), true)
  t.equal(await protections.remove(GATE_CONTEXT, 'team/*', main.refs), false)
  t.strictSame(await protections.list(), [tags])
})

t.test('settings are kept as texts, and the last one counts', async (t) => {
  const { settings, access, facts } = openTemporaryStore(t)
  t.strictSame(await settings.list(), new Map())
  await settings.set(GATE_CONTEXT, new Map([['push_to_create', 'true']]), NOON)
  await settings.set(GATE_CONTEXT, new Map([['push_to_create', 'false']]), NOON)
  await settings.set(GATE_CONTEXT, new Map([['personal_access_token_prefix', '']]), NOON)
  const stored = Object.fromEntries(await settings.list())
  t.strictSame(stored, { push_to_create: 'false', personal_access_token_prefix: '' })
  const current = await (await new AccessMemory(access).current()).settings()
  t.match(current, { push_to_create: false, personal_access_token_prefix: '' })
  t.equal(await facts.readBackend(), undefined)
  await facts.writeBackend({ upstream: 'http://127.0.0.1:9000/' })
  t.strictSame(await facts.readBackend(), { upstream: 'http://127.0.0.1:9000/' })
  await facts.writeBackend({ root: '/srv/b' })
  t.strictSame(await facts.readBackend(), { root: '/srv/b' })
})

t.test('to set a setting to the value that it has changes nothing, and is no event', async (t) => {
  const { settings, audit } = openTemporaryStore(t, { clock: () => NOON })
  const required = new Map([['require_two_factor_authentication', 'true'] as const])
  await settings.set(GATE_CONTEXT, required, NOON)
  await settings.set(GATE_CONTEXT, required, new Date(NOON.getTime() + DAY))
  t.strictSame(await settings.setAt('require_two_factor_authentication'), NOON, 'the grace period goes on')
  t.equal((await audit.list({ action: 'setting.changed', limit: 9 })).length, 1)
})
