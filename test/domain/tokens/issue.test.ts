import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { UNLIMITED } from '../../../src/domain/tokens/budget.js'
import { UNRESTRICTED } from '../../../src/domain/tokens/restriction.js'
import type { Test } from 'tap'
import type { Account } from '../../../src/domain/accounts/account.js'
import { DAY } from '../../../src/core/clock.js'
import type { Store } from '../../../src/storage/open.js'
import type { IssueRules, IssuedToken, TokenDraft } from '../../../src/domain/tokens/issue.js'
import { issueToken, rotateToken } from '../../../src/domain/tokens/issue.js'
import { digestSecret } from '../../../src/domain/tokens/token-secret.js'
import { NOON, addAccount, openTemporaryStore } from '../../storage/temporary-store.js'

const FREE: IssueRules = { prefix: 'ggpat-', latestExpiry: null, expiryRequired: false, disabled: false }
const LIMIT = new Date('2026-07-15T00:00:00.000Z')
const LIMITED: IssueRules = { ...FREE, latestExpiry: LIMIT }
const TOMORROW = new Date('2026-06-16T00:00:00.000Z')

type World = {
  readonly store: Store
  readonly alice: Account
  readonly issue: (draft?: Partial<TokenDraft>, rules?: IssueRules) => Promise<IssuedToken>
}

async function createWorld(t: Test): Promise<World> {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const plain: TokenDraft = { name: 'ci', scopes: ['read_repository'], expiry: undefined }
  return {
    store,
    alice,
    issue: (draft = {}, rules = FREE) =>
      issueToken(store.tokens, GATE_CONTEXT, alice, { ...plain, ...draft }, rules, NOON),
  }
}

t.test('a token is issued as it was drafted, and its secret finds it', async (t) => {
  const { store, alice, issue } = await createWorld(t)
  const { token, secret } = await issue({ description: 'for the mirror', scopes: ['read_api', 'read_repository'] })
  t.match(secret.reveal(), /^ggpat-[0-9A-Za-z]{36}$/)
  t.strictSame(await store.tokens.findByDigest(digestSecret(secret)), token)
  t.strictSame(token, {
    id: token.id,
    userId: alice.id,
    name: 'ci',
    description: 'for the mirror',
    scopes: ['read_api', 'read_repository'],
    createdAt: NOON,
    expiresAt: null,
    revokedAt: null,
    impersonation: false,
    lastUsedAt: null,
    lastUsedIps: [],
    previousId: null,
    restrictions: UNRESTRICTED,
    budget: UNLIMITED,
    spent: { pushes: 0, bytes: 0 },
    parentId: null,
    issuedBy: null,
  })
})

t.test('a token begins with the prefix in force', async (t) => {
  const { issue } = await createWorld(t)
  t.match((await issue({}, { ...FREE, prefix: 'acme/' })).secret.reveal(), /^acme\/[0-9A-Za-z]{36}$/)
  t.match((await issue({}, { ...FREE, prefix: '' })).secret.reveal(), /^[0-9A-Za-z]{36}$/)
})

t.test('names need not differ, secrets do', async (t) => {
  const { issue, store, alice } = await createWorld(t)
  const [first, second] = [await issue(), await issue()]
  t.not(first.secret.reveal(), second.secret.reveal())
  t.equal((await store.tokens.list({ userId: alice.id })).length, 2)
})

t.test('a draft that breaks a rule is refused for it, and nothing is stored', async (t) => {
  const { issue, store } = await createWorld(t)
  const cases: readonly (readonly [Partial<TokenDraft>, { code: string; message: RegExp }])[] = [
    [{ name: '' }, { code: 'invalid', message: /name can't be blank/ }],
    [{ name: '  ' }, { code: 'invalid', message: /blank/ }],
    [{ name: 'n'.repeat(256) }, { code: 'invalid', message: /255/ }],
    [{ name: 'ci\u202E' }, { code: 'invalid', message: /control characters/ }],
    [{ description: 'd'.repeat(256) }, { code: 'invalid', message: /255/ }],
    [{ description: 'two\nlines' }, { code: 'invalid', message: /line breaks/ }],
    [{ scopes: [] }, { code: 'invalid', message: /at least one scope/ }],
    [{ scopes: ['api', 'sudo'] }, { code: 'forbidden', message: /only administrators can have the scope sudo/ }],
    [{ expiry: NOON }, { code: 'invalid', message: /2026-06-15 has already begun/ }],
    [{ expiry: new Date('2026-06-15T00:00:00.000Z') }, { code: 'invalid', message: /has already begun/ }],
    [{ expiry: new Date(0) }, { code: 'invalid', message: /choose a later date/ }],
  ]
  for (const [draft, error] of cases) await t.rejects(issue(draft), error, JSON.stringify(draft).slice(0, 60))
  t.strictSame(await store.tokens.list({}), [])
})

t.test('what is at a rule’s edge is taken', async (t) => {
  const { issue, store } = await createWorld(t)
  t.equal((await issue({ name: 'n'.repeat(255), description: 'd'.repeat(255) })).token.description?.length, 255)
  const instant = new Date(NOON.getTime() + 1)
  t.strictSame((await issue({ expiry: instant })).token.expiresAt, instant)
  const root = await addAccount(store, 'root', { admin: true })
  const draft: TokenDraft = { name: 'root', scopes: ['sudo'], expiry: 'never', impersonation: true }
  t.match((await issueToken(store.tokens, GATE_CONTEXT, root, draft, FREE, NOON)).token, {
    scopes: ['sudo'],
    impersonation: true,
  })
})

t.test('without a limit a token may live for ever, and does unless it is told otherwise', async (t) => {
  const { issue } = await createWorld(t)
  t.equal((await issue({ expiry: undefined })).token.expiresAt, null)
  t.equal((await issue({ expiry: 'never' })).token.expiresAt, null)
  t.strictSame((await issue({ expiry: TOMORROW })).token.expiresAt, TOMORROW)
})

t.test('under a limit a token lives as long as allowed, and an explicit never is refused', async (t) => {
  const { issue } = await createWorld(t)
  t.strictSame((await issue({ expiry: undefined }, LIMITED)).token.expiresAt, LIMIT)
  t.strictSame((await issue({ expiry: LIMIT }, LIMITED)).token.expiresAt, LIMIT)
  t.strictSame((await issue({ expiry: TOMORROW }, LIMITED)).token.expiresAt, TOMORROW)
  await t.rejects(issue({ expiry: 'never' }, LIMITED), { code: 'forbidden', message: /2026-07-15 at the latest/ })
  // A span is measured from now, which is noon.
  const tooLate = new Date(LIMIT.getTime() + DAY / 2 + 1)
  await t.rejects(issue({ expiry: tooLate }, LIMITED), { code: 'forbidden', message: /must expire by 2026-07-15/ })
})

t.test('where tokens must expire, one without a date is refused', async (t) => {
  const { issue } = await createWorld(t)
  const required = { ...FREE, expiryRequired: true }
  for (const expiry of [undefined, 'never' as const])
    await t.rejects(issue({ expiry }, required), {
      code: 'forbidden',
      message: 'tokens must expire on this server; set an expiry date',
    })
  t.strictSame((await issue({ expiry: TOMORROW }, required)).token.expiresAt, TOMORROW)
  t.strictSame((await issue({}, { ...required, latestExpiry: LIMIT })).token.expiresAt, LIMIT)
})

t.test('where tokens are switched off, none is issued and none is rotated', async (t) => {
  const { issue, store, alice } = await createWorld(t)
  const { token } = await issue()
  const off = { ...FREE, disabled: true }
  await t.rejects(issue({}, off), { code: 'forbidden', message: /disable_personal_access_tokens/ })
  await t.rejects(rotateToken(store.tokens, GATE_CONTEXT, alice, token, undefined, off, NOON), { code: 'forbidden' })
  t.equal((await store.tokens.find(token.id))?.revokedAt, null, 'the old one still stands')
})

t.test('a rotated token has a new secret, the same rights, and revokes the old one', async (t) => {
  const { issue, store, alice } = await createWorld(t)
  const old = await issue({ description: 'for the mirror', impersonation: true, expiry: TOMORROW })
  const later = new Date(NOON.getTime() + 1_000)
  const { token, secret } = await rotateToken(store.tokens, GATE_CONTEXT, alice, old.token, undefined, FREE, later)
  t.not(secret.reveal(), old.secret.reveal())
  const week = new Date(later.getTime() + 7 * DAY)
  const same = { ...old.token, id: token.id, createdAt: later, expiresAt: week, previousId: old.token.id }
  t.strictSame(token, same)
  t.strictSame((await store.tokens.findByDigest(digestSecret(old.secret)))?.revokedAt, later)
})

t.test(
  'a rotated token lives a week, for ever where the old one did, or as long as is asked and allowed',
  async (t) => {
    const { issue, store, alice } = await createWorld(t)
    const week = new Date(NOON.getTime() + 7 * DAY)
    const day = { ...FREE, latestExpiry: TOMORROW }
    const cases = [
      { old: 'never', wanted: undefined, rules: FREE, expected: null },
      { old: 'never', wanted: undefined, rules: LIMITED, expected: LIMIT },
      { old: 'never', wanted: undefined, rules: { ...FREE, expiryRequired: true }, expected: week },
      { old: TOMORROW, wanted: undefined, rules: FREE, expected: week },
      { old: TOMORROW, wanted: undefined, rules: LIMITED, expected: week },
      { old: TOMORROW, wanted: undefined, rules: day, expected: TOMORROW },
      { old: TOMORROW, wanted: 'never', rules: FREE, expected: null },
      { old: 'never', wanted: LIMIT, rules: LIMITED, expected: LIMIT },
    ] as const
    for (const [index, { old, wanted, rules, expected }] of cases.entries()) {
      const { token } = await issue({ expiry: old })
      const rotated = await rotateToken(store.tokens, GATE_CONTEXT, alice, token, wanted, rules, NOON)
      t.strictSame(rotated.token.expiresAt, expected, `case ${index + 1}`)
    }
  },
)

t.test('a token that breaks today’s rules is not rotated and stays as it is', async (t) => {
  const { issue, store, alice } = await createWorld(t)
  const { token } = await issue()
  await t.rejects(rotateToken(store.tokens, GATE_CONTEXT, alice, token, 'never', LIMITED, NOON), { code: 'forbidden' })
  const sudo = { ...token, scopes: ['sudo'] as const }
  await t.rejects(rotateToken(store.tokens, GATE_CONTEXT, alice, sudo, undefined, FREE, NOON), { code: 'forbidden' })
  t.equal((await store.tokens.find(token.id))?.revokedAt, null)
})

t.test('a revoked token can’t be rotated, and of two rotations at once one wins', async (t) => {
  const { issue, store, alice } = await createWorld(t)
  const { token } = await issue()
  const rotate = () => rotateToken(store.tokens, GATE_CONTEXT, alice, token, undefined, FREE, NOON)
  const results = await Promise.allSettled([rotate(), rotate()])
  t.strictSame(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  await t.rejects(rotate(), { code: 'conflict', message: /already revoked/ })
  t.equal((await store.tokens.list({})).length, 2, 'the loser left no token behind')
})
