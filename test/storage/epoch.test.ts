import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { AccessMemory } from '../../src/domain/access/memory.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import type { NewToken, PersonalAccessToken } from '../../src/domain/tokens/token.js'
import { newToken } from './new-token.js'
import { NOON, addAccount, openTemporaryStore } from './temporary-store.js'

const DIGEST = new Secret('digest', 'token digest')

function tokenWith(userId: number, digest = DIGEST): NewToken {
  return newToken(userId, { digest })
}

async function movesEpoch({ access }: Store, change: () => Promise<unknown>): Promise<boolean> {
  const before = await access.readEpoch()
  await change()
  return (await access.readEpoch()) !== before
}

const addIp = (ips: readonly string[], ip: string): string[] => [ip, ...ips]

t.test('every change that can alter a decision moves the security epoch', async (t) => {
  const store = openTemporaryStore(t)
  const { accounts, tokens, twoFactors, grants, protections, settings } = store
  const alice = await addAccount(store, 'alice')
  const token = await tokens.add(GATE_CONTEXT, tokenWith(alice.id))
  const grant = { subject: 'alice', role: 'read', pattern: '**' } as const
  const protection = {
    repositories: '**',
    refs: 'refs/heads/main',
    push: 'write',
    force: 'nobody',
    delete: 'admin',
  } as const
  const changes: Readonly<Record<string, () => Promise<unknown>>> = {
    'an account is added': () => addAccount(store, 'bob'),
    'a password is set': () => accounts.setPasswordHash(GATE_CONTEXT, alice.id, new Secret('$2b$', 'password hash')),
    'an account is blocked': () => accounts.setState(GATE_CONTEXT, alice.id, 'blocked'),
    'an account is unblocked': () => accounts.setState(GATE_CONTEXT, alice.id, 'active'),
    'two-factor is enabled': () =>
      twoFactors.enable(GATE_CONTEXT, alice.id, new Secret('SEED', 'seed'), [DIGEST], NOON),
    'two-factor is disabled': () => twoFactors.disable(GATE_CONTEXT, alice.id),
    'a token is replaced': () =>
      tokens.replace(GATE_CONTEXT, token.id, tokenWith(alice.id, new Secret('next', 'token digest')), NOON),
    'a token is revoked': () => tokens.revoke(GATE_CONTEXT, token.id + 1, NOON),
    'a grant is added': () => grants.put(GATE_CONTEXT, grant, NOON),
    'a grant is changed': () => grants.put(GATE_CONTEXT, { ...grant, role: 'write' }, NOON),
    'a grant is removed': () => grants.remove(GATE_CONTEXT, 'alice', '**'),
    'a protection is added': () => protections.put(GATE_CONTEXT, protection, NOON),
    'a protection is changed': () => protections.put(GATE_CONTEXT, { ...protection, push: 'admin' }, NOON),
    'a protection is removed': () => protections.remove(GATE_CONTEXT, '**', 'refs/heads/main'),
    'a setting is set': () => settings.set(GATE_CONTEXT, new Map([['push_to_create', 'false']]), NOON),
    'an account is deleted': () => accounts.remove(GATE_CONTEXT, alice),
  }
  for (const [what, change] of Object.entries(changes)) t.ok(await movesEpoch(store, change), what)
})

t.test('what happens all the time and alters no decision leaves the epoch alone', async (t) => {
  const store = openTemporaryStore(t)
  const { tokens, twoFactors, facts, access } = store
  const { id } = await addAccount(store, 'alice')
  const token = await tokens.add(GATE_CONTEXT, tokenWith(id))
  await twoFactors.enable(GATE_CONTEXT, id, new Secret('SEED', 'seed'), [DIGEST], NOON)
  const code = (await twoFactors.find(id))?.recoveryCodes[0]
  const events: Readonly<Record<string, () => Promise<unknown>>> = {
    'a token is used': () => tokens.recordUses([{ tokenId: token.id, at: NOON, ip: '192.0.2.1' }], addIp),
    'a code is used': () => twoFactors.takeStep(id, 1),
    'a recovery code is used': () => twoFactors.takeRecoveryCode(GATE_CONTEXT, code?.id ?? 0),
    'the repositories are elsewhere': () => facts.writeBackend({ root: '/srv' }),
    'a token is looked up': () => access.findTokenWithOwner(DIGEST),
  }
  for (const [what, event] of Object.entries(events)) t.notOk(await movesEpoch(store, event), what)
})

t.test('a change that fails leaves the epoch and the rows as they were', async (t) => {
  const store = openTemporaryStore(t)
  await addAccount(store, 'alice')
  const fails = () => t.rejects(addAccount(store, 'ALICE'), { code: 'conflict' })
  t.notOk(await movesEpoch(store, fails))
  t.equal((await store.accounts.list()).length, 1)
})

type Gates = {
  /** Two openings of one folder, as two processes have them. */
  readonly one: Store
  readonly other: Store
  readonly token: PersonalAccessToken
}

async function openTwice(t: Test): Promise<Gates> {
  const folder = join(t.testdir(), 'data')
  const [one, other] = [openStore(folder, undefined), openStore(folder, undefined)]
  t.teardown(async () => {
    await one.close()
    await other.close()
  })
  return { one, other, token: await one.tokens.add(GATE_CONTEXT, tokenWith((await addAccount(one, 'alice')).id)) }
}

t.test('what one process writes, the other reads at once', async (t) => {
  const { one, other, token } = await openTwice(t)
  const alice = (await other.accounts.findByUsername('alice'))!
  t.strictSame(await other.tokens.find(token.id), token)
  t.strictSame(await other.access.findTokenWithOwner(DIGEST), { token, owner: alice })
  await other.grants.put(GATE_CONTEXT, { subject: '@all', role: 'read', pattern: '**' }, NOON)
  t.equal((await one.grants.list()).length, 1)
  await one.settings.set(GATE_CONTEXT, new Map([['push_to_create', 'false']]), NOON)
  t.equal((await other.settings.list()).get('push_to_create'), 'false')
  t.equal(await one.access.readEpoch(), await other.access.readEpoch())
})

t.test('a seed that one process encrypts, the other decrypts: they share the key', async (t) => {
  const { one, other } = await openTwice(t)
  const { id } = (await one.accounts.findByUsername('alice'))!
  await one.twoFactors.enable(GATE_CONTEXT, id, new Secret('SEED', 'seed'), [DIGEST], NOON)
  t.equal((await other.twoFactors.find(id))?.seed.reveal(), 'SEED')
})

// Attack: a stolen token is revoked on the command line, and the running gate still remembers it.
t.test('what a gate remembers is gone with the next request after another process’s change', async (t) => {
  const { one, other, token } = await openTwice(t)
  const memory = new AccessMemory(one.access)
  const verify = async () => (await memory.current()).findToken(DIGEST)
  t.equal((await verify())?.token.revokedAt, null)
  t.equal(await verify(), await verify(), 'it is remembered')
  await other.tokens.recordUses([{ tokenId: token.id, at: NOON, ip: '192.0.2.1' }], addIp)
  t.equal((await verify())?.token.lastUsedAt, null, 'and a use does not change that')

  await other.tokens.revoke(GATE_CONTEXT, token.id, NOON)
  t.strictSame((await verify())?.token.revokedAt, NOON)
  const alice = (await other.accounts.findByUsername('alice'))!
  await other.accounts.setState(GATE_CONTEXT, alice.id, 'blocked')
  t.equal((await verify())?.owner.state, 'blocked')

  const snapshot = async () => (await memory.current()).grantsOf(alice)
  t.equal((await snapshot()).length, 0)
  await other.grants.put(GATE_CONTEXT, { subject: 'alice', role: 'read', pattern: '**' }, NOON)
  t.equal((await snapshot()).length, 1)
  await other.settings.set(GATE_CONTEXT, new Map([['impersonation_enabled', 'false']]), NOON)
  t.equal((await (await memory.current()).settings()).impersonation_enabled, false)
  await other.accounts.remove(GATE_CONTEXT, alice)
  t.equal(await verify(), undefined)
})

t.test('a token that is made is known with the next request, although it was asked for before', async (t) => {
  const { one, other, token } = await openTwice(t)
  const memory = new AccessMemory(one.access)
  const digest = new Secret('later', 'token digest')
  const verify = async () => (await memory.current()).findToken(digest)
  t.equal(await verify(), undefined)
  const later = await other.tokens.add(GATE_CONTEXT, tokenWith(token.userId, digest))
  t.equal((await verify())?.token.id, later.id)
})
