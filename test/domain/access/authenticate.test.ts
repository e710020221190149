import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import type { Test } from 'tap'
import { Access } from '../../../src/domain/access/access.js'
import { parseCredential } from '../../../src/domain/access/authenticate.js'
import { Bans } from '../../../src/domain/access/ban.js'
import { AccessMemory } from '../../../src/domain/access/memory.js'
import type { Account } from '../../../src/domain/accounts/account.js'
import { Passwords } from '../../../src/domain/accounts/password.js'
import { enableTwoFactor, enrol } from '../../../src/domain/accounts/two-factor.js'
import { DAY } from '../../../src/core/clock.js'
import { Secret } from '../../../src/core/secret.js'
import type { Store } from '../../../src/storage/open.js'
import type { TokenDraft } from '../../../src/domain/tokens/issue.js'
import { issueToken } from '../../../src/domain/tokens/issue.js'
import type { PersonalAccessToken } from '../../../src/domain/tokens/token.js'
import { NOON, addAccount, movableClock, openTemporaryStore } from '../../storage/temporary-store.js'

const PASSWORD = 'correct horse battery'
const ADDRESS = '192.0.2.1'

type World = {
  readonly store: Store
  readonly passwords: Passwords
  readonly alice: Account
  readonly hands: { now: Date }
  readonly used: readonly number[]
  readonly issue: (given?: Partial<TokenDraft>) => Promise<{ token: PersonalAccessToken; secret: string }>
  /** Who is let in, as `token alice`, `password alice` or `anonymous`; or the refusal's kind. */
  readonly ask: (username: string, password: string, ip?: string) => Promise<string>
  readonly askRaw: (header: string | undefined, ip?: string) => Promise<string>
}

/** Alice has a password; bob is there, too. Failures from {@link ADDRESS} are counted. */
async function createWorld(t: Test): Promise<World> {
  const store = openTemporaryStore(t)
  const hands = movableClock()
  const passwords = new Passwords(hands.clock, { cost: 4 })
  const passwordHash = await passwords.hash(new Secret(PASSWORD, 'password'))
  const alice = await addAccount(store, 'alice', { email: 'alice@example.com', passwordHash })
  await addAccount(store, 'bob', { passwordHash: await passwords.hash(new Secret('other password', 'password')) })
  const used: number[] = []
  const access = new Access({
    memory: new AccessMemory(store.access),
    passwords,
    bans: new Bans(),
    clock: hands.clock,
    ownsGroup: true,
    budgets: store.tokens,
    onTokenUse: ({ id }) => used.push(id),
  })
  const askRaw = async (header: string | undefined, ip = ADDRESS): Promise<string> => {
    const result = await access.authenticate(parseCredential(header), ip)
    if (result.kind === 'refused') return result.refusal.kind
    const { identity } = result
    return identity.kind === 'anonymous' ? identity.kind : `${identity.kind} ${identity.account.username}`
  }
  return {
    store,
    passwords,
    alice,
    hands,
    used,
    issue: async (given = {}) => {
      const draft = { name: 'ci', scopes: ['read_repository'] as const, expiry: undefined, ...given }
      const rules = { prefix: 'ggpat-', latestExpiry: null, expiryRequired: false, disabled: false }
      const { token, secret } = await issueToken(store.tokens, GATE_CONTEXT, alice, draft, rules, NOON)
      return { token, secret: secret.reveal() }
    },
    ask: (username, password, ip) => askRaw(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`, ip),
    askRaw,
  }
}

t.test('who gives no credential is anonymous', async (t) => {
  const { askRaw } = await createWorld(t)
  for (const header of [undefined, '', 'Negotiate x']) t.equal(await askRaw(header), 'anonymous')
})

t.test('a token is its owner, whatever the username', async (t) => {
  const { ask, issue, used } = await createWorld(t)
  const { token, secret } = await issue()
  for (const username of ['alice', 'bob', 'oauth2', 'x-access-token', 'nobody', ''])
    t.equal(await ask(username, secret), 'token alice', username)
  t.strictSame(used, Array<number>(6).fill(token.id))
})

t.test('a token may come by itself, and as the username with no password or a filler', async (t) => {
  const { ask, askRaw, issue } = await createWorld(t)
  const { secret } = await issue()
  t.equal(await askRaw(`Bearer ${secret}`), 'token alice')
  for (const password of ['', 'x-oauth-basic']) t.equal(await ask(secret, password), 'token alice')
  t.equal(await ask(`${secret}x`, ''), 'token-mistyped')
  t.equal(await ask(secret, PASSWORD), 'token-misplaced')
  for (const header of ['Bearer', 'Bearer x', `Bearer ${PASSWORD}`])
    t.equal(await askRaw(header), 'credentials-wrong', 'a password by itself is none')
  t.equal(await askRaw(`Bearer ${secret.slice(0, -1)}_`), 'token-mistyped')
})

t.test('an account whose name begins like a token signs in', async (t) => {
  const { ask, passwords, store } = await createWorld(t)
  await addAccount(store, 'ggpat-bot', { passwordHash: await passwords.hash(new Secret(PASSWORD, 'password')) })
  t.equal(await ask('ggpat-bot', PASSWORD), 'password ggpat-bot')
})

t.test('a password goes with its username or email address, in any case', async (t) => {
  const { ask, used } = await createWorld(t)
  for (const login of ['alice', 'ALICE', 'alice@example.com', 'Alice@Example.COM'])
    t.equal(await ask(login, PASSWORD), 'password alice', login)
  for (const login of ['bob', 'nobody', '', 'alice ', "alice' OR '1'='1"])
    t.equal(await ask(login, PASSWORD), 'credentials-wrong', login)
  t.equal(await ask('alice', ''), 'credentials-wrong')
  t.strictSame(used, [])
})

t.test('credentials that are wrong never fall back to anonymous', async (t) => {
  const { ask, askRaw, issue } = await createWorld(t)
  const { secret } = await issue()
  t.equal(await ask('alice', `${secret.slice(0, -1)}_`), 'token-mistyped')
  t.equal(await ask('alice', `ggpat-${'0'.repeat(30)}037cQW`), 'credentials-wrong', 'an unknown token')
  for (const header of ['Basic', 'Basic !!', 'Basic YWxpY2U='])
    t.equal(await askRaw(header), 'credentials-malformed', header)
})

t.test('a token is over when it expires, when it is revoked, and when its owner is blocked', async (t) => {
  const { ask, issue, store, alice, hands } = await createWorld(t)
  const expiring = await issue({ expiry: new Date(NOON.getTime() + DAY) })
  const other = await issue()
  t.equal(await ask('x', expiring.secret), 'token alice')
  hands.now = new Date(NOON.getTime() + DAY - 1)
  t.equal(await ask('x', expiring.secret), 'token alice')
  hands.now = new Date(NOON.getTime() + DAY)
  t.equal(await ask('x', expiring.secret), 'token-over')
  await store.settings.set(GATE_CONTEXT, new Map([['enforce_pat_expiration', 'false']]), NOON)
  t.equal(await ask('x', expiring.secret), 'token alice', 'unless expiry is not enforced')

  await store.accounts.setState(GATE_CONTEXT, alice.id, 'blocked')
  t.equal(await ask('x', other.secret), 'credentials-wrong')
  t.equal(await ask('alice', PASSWORD), 'credentials-wrong')
  await store.accounts.setState(GATE_CONTEXT, alice.id, 'active')
  t.equal(await ask('x', other.secret), 'token alice')
  await store.tokens.revoke(GATE_CONTEXT, other.token.id, NOON)
  t.equal(await ask('x', other.secret), 'token-over')
})

t.test('impersonation tokens and all tokens can be switched off, from the next request on', async (t) => {
  const { ask, issue, store } = await createWorld(t)
  const { secret } = await issue()
  const impersonation = await issue({ impersonation: true })
  t.equal(await ask('x', impersonation.secret), 'token alice')
  await store.settings.set(GATE_CONTEXT, new Map([['impersonation_enabled', 'false']]), NOON)
  t.equal(await ask('x', impersonation.secret), 'credentials-wrong')
  t.equal(await ask('x', secret), 'token alice')
  await store.settings.set(GATE_CONTEXT, new Map([['disable_personal_access_tokens', 'true']]), NOON)
  t.equal(await ask('x', secret), 'tokens-off')
  t.equal(await ask('alice', PASSWORD), 'password alice')
})

t.test('with two-factor authentication on, only a token does', async (t) => {
  const { ask, issue, store, passwords, alice } = await createWorld(t)
  const { secret } = await issue()
  t.equal(await ask('alice', PASSWORD), 'password alice')
  await enableTwoFactor(store.twoFactors, GATE_CONTEXT, passwords, alice, enrol(alice, 'gitgate'), NOON)
  t.equal(await ask('alice', PASSWORD), 'token-required', 'although the password was remembered')
  t.equal(await ask('alice', 'wrong password'), 'credentials-wrong', 'which tells only who knows the password')
  t.equal(await ask('alice', secret), 'token alice')
  await store.twoFactors.disable(GATE_CONTEXT, alice.id)
  t.equal(await ask('alice', PASSWORD), 'password alice')
})

t.test('where the settings ask for a token, no password does', async (t) => {
  const { ask, issue, store } = await createWorld(t)
  const { secret } = await issue()
  await store.settings.set(GATE_CONTEXT, new Map([['require_two_factor_authentication', 'true']]), NOON)
  t.equal(await ask('alice', PASSWORD), 'token-required')
  t.equal(await ask('alice', secret), 'token alice')
  await store.settings.set(GATE_CONTEXT, new Map([['password_authentication_enabled_for_git', 'false']]), NOON)
  for (const password of [PASSWORD, 'wrong password', '']) t.equal(await ask('alice', password), 'token-required')
  t.equal(await ask('alice', secret), 'token alice')
})

t.test('a deleted account’s token and password are wrong at once', async (t) => {
  const { ask, issue, store, alice } = await createWorld(t)
  const { secret } = await issue()
  t.equal(await ask('x', secret), 'token alice')
  t.equal(await ask('alice', PASSWORD), 'password alice')
  await store.accounts.remove(GATE_CONTEXT, alice)
  t.equal(await ask('x', secret), 'credentials-wrong')
  t.equal(await ask('alice', PASSWORD), 'credentials-wrong')
})

t.test('guesses ban their address, for right credentials, too; nobody is banned for naming none', async (t) => {
  const { ask, askRaw, issue } = await createWorld(t)
  const { secret } = await issue()
  for (let guess = 0; guess < 10; guess++) t.equal(await ask('alice', `guess ${guess}`), 'credentials-wrong')
  t.equal(await ask('alice', PASSWORD), 'banned')
  t.equal(await ask('alice', secret), 'banned')
  t.equal(await askRaw('Basic !!'), 'banned')
  t.equal(await askRaw(undefined), 'anonymous')
  t.equal(await ask('alice', secret, '192.0.2.2'), 'token alice', 'from elsewhere')
})

t.test('every kind of failure counts towards a ban, and a good token takes back those of tokens', async (t) => {
  const { ask, askRaw, issue, store } = await createWorld(t)
  const { secret } = await issue()
  await store.settings.set(GATE_CONTEXT, new Map([['git_basic_auth_maxretry', '5']]), NOON)
  const failures = [
    () => ask('alice', 'guess'),
    () => ask('alice', ''),
    () => ask('alice', 'ggpat-broken'),
    () => askRaw('Basic !!'),
  ]
  for (const failure of failures) await failure()
  t.equal(await ask('x', secret), 'token alice')
  for (const failure of failures.slice(0, 2)) await failure()
  t.equal(await ask('x', secret), 'token alice')
  await failures[0]?.()
  t.equal(await ask('x', secret), 'banned')
})

t.test('a right password that does not do is no guess, and is not counted', async (t) => {
  const { ask, issue, store, passwords, alice } = await createWorld(t)
  const { secret } = await issue()
  await store.settings.set(GATE_CONTEXT, new Map([['git_basic_auth_maxretry', '2']]), NOON)
  await enableTwoFactor(store.twoFactors, GATE_CONTEXT, passwords, alice, enrol(alice, 'gitgate'), NOON)
  for (let attempt = 0; attempt < 5; attempt++) t.equal(await ask('alice', PASSWORD), 'token-required')
  t.equal(await ask('alice', secret), 'token alice')
})
