// What the domain may expect of the store of tokens, whichever database is under it.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import { rotateToken } from '../../src/domain/tokens/issue.js'
import { parseRestrictions, UNRESTRICTED } from '../../src/domain/tokens/restriction.js'
import { newToken } from './new-token.js'
import { NOON, addAccount, openTemporaryStore } from './temporary-store.js'

t.test('a token is kept as it was added, and found by its number and its digest', async (t) => {
  const store = openTemporaryStore(t)
  const [alice, bob] = [await addAccount(store, 'alice'), await addAccount(store, 'bob')]
  const expiresAt = new Date(NOON.getTime() + 1)
  const { digest, ...given } = newToken(alice.id, { description: 'd', scopes: ['api', 'sudo'], expiresAt })
  const token = await store.tokens.add(GATE_CONTEXT, { ...given, digest, impersonation: true })
  t.strictSame(token, {
    id: token.id,
    ...given,
    impersonation: true,
    revokedAt: null,
    lastUsedAt: null,
    lastUsedIps: [],
    issuedBy: null,
  })
  t.strictSame(await store.tokens.find(token.id), token)
  t.strictSame(await store.tokens.findByDigest(digest), token)
  t.equal(await store.tokens.findByDigest(new Secret('DIGEST 1', 'token digest')), undefined)
  t.equal(await store.tokens.find(token.id + 1), undefined)
  const other = await store.tokens.add(GATE_CONTEXT, newToken(bob.id))
  t.strictSame(await store.tokens.list({}), [token, other])
  t.strictSame(await store.tokens.list({ userId: bob.id }), [other])
  t.strictSame(await store.tokens.list({ userId: bob.id + 1 }), [])
  const briefly = (await store.tokens.listBriefly())[0]!
  t.match(token, briefly)
  t.equal(Object.keys(briefly).length, 8)
})

t.test('a token is revoked once, at the first instant', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await store.tokens.add(GATE_CONTEXT, newToken((await addAccount(store, 'alice')).id))
  t.equal(await store.tokens.revoke(GATE_CONTEXT, id, NOON), true)
  t.equal(await store.tokens.revoke(GATE_CONTEXT, id, new Date(NOON.getTime() + DAY)), false)
  t.strictSame((await store.tokens.find(id))?.revokedAt, NOON)
  t.equal(await store.tokens.revoke(GATE_CONTEXT, id + 1, NOON), false)
})

t.test('a successor starts with what was charged to the budget after the old token was read', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const budget = { pushes: 9, bytes: null }
  const old = await store.tokens.add(GATE_CONTEXT, newToken(alice.id, { budget }))
  await store.tokens.spend(old.id, { pushes: 1, bytes: 100 })
  const successor = newToken(alice.id, { budget, spent: old.spent, previousId: old.id })
  const replaced = await store.tokens.replace(GATE_CONTEXT, old.id, successor, NOON)
  t.match(replaced, { spent: { pushes: 1, bytes: 100 } })
})

t.test('a token is replaced by its successor: both or neither', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const old = await store.tokens.add(GATE_CONTEXT, newToken(alice.id))
  // A successor that can't be added, since its digest is there: the old one must stand.
  const digest = new Secret('taken', 'token digest')
  await store.tokens.add(GATE_CONTEXT, newToken(alice.id, { digest }))
  await t.rejects(store.tokens.replace(GATE_CONTEXT, old.id, newToken(alice.id, { digest }), NOON))
  t.equal((await store.tokens.find(old.id))?.revokedAt, null)

  const later = new Date(NOON.getTime() + 1)
  const successor = newToken(alice.id, { previousId: old.id, createdAt: later })
  const replaced = await store.tokens.replace(GATE_CONTEXT, old.id, successor, later)
  t.equal(replaced?.previousId, old.id)
  t.strictSame((await store.tokens.find(old.id))?.revokedAt, later)
  t.equal(await store.tokens.replace(GATE_CONTEXT, old.id, newToken(alice.id), later), undefined)
  t.equal((await store.tokens.list({})).length, 3)
})

t.test('a token keeps what it is limited to, and so does its successor', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const restrictions = parseRestrictions(['team/*'], ['agent/*', 'refs/tags/v*:force,delete'])
  const given = newToken(alice.id, { restrictions })
  const token = await store.tokens.add(GATE_CONTEXT, given)
  t.strictSame(token.restrictions, restrictions)
  t.strictSame((await store.tokens.findByDigest(given.digest))?.restrictions, restrictions)
  t.strictSame((await store.access.findTokenWithOwner(given.digest))?.token.restrictions, restrictions)
  const rules = { prefix: '', latestExpiry: null, expiryRequired: false, disabled: false }
  const rotated = await rotateToken(store.tokens, GATE_CONTEXT, alice, token, 'never', rules, NOON)
  t.strictSame((await store.tokens.find(rotated.token.id))?.restrictions, restrictions)
  t.strictSame((await store.tokens.add(GATE_CONTEXT, newToken(alice.id))).restrictions, UNRESTRICTED)
})

t.test('nothing is derived from a token that was revoked in the meantime', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const parent = await store.tokens.add(GATE_CONTEXT, newToken(alice.id))
  await store.tokens.revoke(GATE_CONTEXT, parent.id, NOON)
  await t.rejects(store.tokens.add(GATE_CONTEXT, newToken(alice.id, { parentId: parent.id })), { code: 'conflict' })
})

t.test('a name is searched for in any case of its letters, beyond ASCII, too', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  await store.tokens.add(GATE_CONTEXT, newToken(alice.id, { name: 'Jeton de l’École' }))
  const query = { offset: 0, limit: 10 }
  for (const search of ['école', 'ÉCOLE', 'jeton'])
    t.equal((await store.tokens.search({ ...query, search }, NOON, true)).total, 1, search)
  t.equal((await store.tokens.search({ ...query, search: '%' }, NOON, true)).total, 0)
})
