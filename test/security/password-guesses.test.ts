// Attack: passwords are guessed past the limits: while the gate is busy, over Git instead of the pages, with an account of
// one's own between the guesses, or under another login of the same account.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import bcrypt from 'bcrypt'
import t from 'tap'
import type { Test } from 'tap'
import { Access } from '../../src/domain/access/access.js'
import { parseCredential } from '../../src/domain/access/authenticate.js'
import { Bans } from '../../src/domain/access/ban.js'
import { AccessMemory } from '../../src/domain/access/memory.js'
import { SignIn } from '../../src/domain/access/sign-in.js'
import { Passwords } from '../../src/domain/accounts/password.js'
import { Secret } from '../../src/core/secret.js'
import { basic } from '../acceptance/http-client.js'
import { addAccount, NOON, openTemporaryStore } from '../storage/temporary-store.js'

const PASSWORD = 'correct horse battery'

async function open(t: Test) {
  const store = openTemporaryStore(t)
  const clock = (): Date => NOON
  const passwords = new Passwords(clock, { cost: 4, maxWaiting: 0, concurrency: 1 })
  const memory = new AccessMemory(store.access)
  const hash = async () => new Secret(await bcrypt.hash(PASSWORD, 4), 'password hash')
  const alice = await addAccount(store, 'alice', { email: 'secret@example.com', passwordHash: await hash() })
  await addAccount(store, 'mallory', { passwordHash: await hash() })
  const access = new Access({
    memory,
    passwords,
    bans: new Bans(),
    clock,
    ownsGroup: true,
    budgets: store.tokens,
    onTokenUse: () => undefined,
  })
  const signIn = new SignIn({ memory, passwords, clock })
  return {
    store,
    alice,
    signIn: async (login: string, password: string, ip: string) =>
      (await signIn.checkPassword(login, new Secret(password, 'password'), ip)).kind,
    git: async (login: string, password: string, ip: string) => {
      const result = await access.authenticate(parseCredential(basic(login, password)), ip)
      return result.kind === 'refused' ? `${result.refusal.kind}: ${result.rule}` : result.identity.kind
    },
  }
}

const address = (index: number) => `198.51.${index >> 8}.${index & 255}`

// Attack: each guess that the gate was too busy to check forgot all that were counted before.
t.test('a guess that was not checked gives back itself alone', async (t) => {
  const { store, signIn } = await open(t)
  // Else the ban of the address would come first.
  await store.settings.set(GATE_CONTEXT, new Map([['git_basic_auth_maxretry', '1000']]), NOON)
  const original = bcrypt.compare as (...args: unknown[]) => Promise<unknown>
  t.teardown(() => void Object.assign(bcrypt, { compare: original }))
  const answers: string[] = []
  for (let round = 0; round < 10; round += 1) {
    answers.push(await signIn('alice', `guess ${round}`, address(1)))
    // Somebody else holds the only place.
    let release = (): void => undefined
    const arrived = new Promise<void>((arrive) => {
      Object.assign(bcrypt, {
        compare: async (...args: unknown[]) => {
          arrive()
          await new Promise<void>((done) => (release = done))
          return await original(...args)
        },
      })
    })
    const holder = signIn('mallory', PASSWORD.toUpperCase(), address(100 + round))
    await arrived
    Object.assign(bcrypt, { compare: original })
    answers.push(await signIn('alice', 'not checked', address(1)))
    release()
    await holder
  }
  t.same(answers.filter((kind) => kind === 'wrong').length, 10)
  t.same(answers.filter((kind) => kind === 'busy').length, 9)
  t.equal(await signIn('alice', PASSWORD, address(1)), 'throttled')
})

// Attack: a good token, or a password of one's own, between the guesses kept the address from being banned.
t.test('a success with another credential takes no guesses back', async (t) => {
  const { store, git, signIn } = await open(t)
  await store.settings.set(GATE_CONTEXT, new Map([['git_basic_auth_maxretry', '5']]), NOON)
  for (const [ip, guess] of [
    [address(2), git],
    [address(3), signIn],
  ] as const) {
    for (let round = 0; round < 5; round += 1) {
      await guess('alice', `guess ${round}`, ip)
      if (round < 4) t.ok(['password', 'right'].includes(await guess('mallory', PASSWORD, ip)))
    }
    t.ok(['banned: address banned', 'throttled'].includes(await guess('mallory', PASSWORD, ip)))
  }
})

for (const front of ['git', 'signIn'] as const) {
  // Attack: many addresses guess at one name.
  t.test(`${front}: a hundred guesses at one login an hour, from wherever they come`, async (t) => {
    const { [front]: guess } = await open(t)
    t.ok(['password', 'right'].includes(await guess('alice', PASSWORD, address(1))))
    for (let index = 0; index < 100; index += 1)
      t.notOk(['password', 'right'].includes(await guess('alice', `guess ${index}`, address(10 + index))))
    const refused = front === 'git' ? 'busy: too many guesses at this login' : 'throttled'
    t.equal(await guess('ALICE', PASSWORD, address(5_000)), refused)
    t.ok(['password', 'right'].includes(await guess('alice', PASSWORD, address(1))), 'a familiar address goes on')
    t.ok(['password', 'right'].includes(await guess('mallory', PASSWORD, address(5_000))), 'so do other accounts')
  })

  // Attack: when a username has no guesses left, the email address for which that shows is the same account's.
  t.test(`${front}: the limit does not tell whose an email address is, and holds under it, too`, async (t) => {
    const { [front]: guess } = await open(t)
    for (let index = 0; index < 100; index += 1) await guess('alice', `guess ${index}`, address(10 + index))
    const theirs = await guess('secret@example.com', 'guess', address(5_000))
    t.equal(theirs, await guess('nobody@example.com', 'guess', address(5_001)))
    t.equal(await guess('secret@example.com', PASSWORD, address(5_002)), theirs, 'the right password, too')
  })
}
