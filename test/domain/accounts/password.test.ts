import bcrypt from 'bcrypt'
import t from 'tap'
import { Passwords } from '../../../src/domain/accounts/password.js'
import { MINUTE } from '../../../src/core/clock.js'
import { Secret } from '../../../src/core/secret.js'
import { movableClock } from '../../storage/temporary-store.js'

// The cheapest that bcrypt has: what is tested costs the same number of bcrypts at any cost.
const COST = { cost: 4 }

function password(text: string): Secret {
  return new Secret(text, 'password')
}

async function accountWith(text: string, id = 1): Promise<{ id: number; passwordHash: Secret }> {
  return { id, passwordHash: new Secret(await bcrypt.hash(text, 4), 'password hash') }
}

t.test('a password is right or wrong, in every character and its case', async (t) => {
  const passwords = new Passwords(movableClock().clock, COST)
  const alice = await accountWith('Correct horse')
  t.equal(await passwords.check(alice, password('Correct horse')), 'right')
  for (const wrong of ['', 'correct horse', 'Correct horse ', 'Correct hors', 'x'])
    t.equal(await passwords.check(alice, password(wrong)), 'wrong', JSON.stringify(wrong))
})

t.test(
  'a password that was hashed here is right afterwards, and its hash has the cost that was asked for',
  async (t) => {
    const passwords = new Passwords(movableClock().clock, COST)
    const hash = await passwords.hash(password('pässwörd 🦊'))
    t.match(hash.reveal(), /^\$2b\$04\$/)
    t.equal(await passwords.check({ id: 1, passwordHash: hash }, password('pässwörd 🦊')), 'right')
    t.equal(await passwords.check({ id: 1, passwordHash: hash }, password('password 🦊')), 'wrong')
  },
)

t.test('nobody signs in to an account that is missing or has no password', async (t) => {
  const passwords = new Passwords(movableClock().clock, COST)
  for (const text of ['', 'anything', 'null', 'undefined']) {
    t.equal(await passwords.check(undefined, password(text)), 'wrong')
    t.equal(await passwords.check({ id: 1, passwordHash: null }, password(text)), 'wrong')
  }
})

// Attack: bcrypt looks at 72 bytes, so whoever has the first 72 of a longer password would be let in with anything after.
t.test('a password of more than 72 bytes is wrong, even if its first 72 are right', async (t) => {
  const passwords = new Passwords(movableClock().clock, COST)
  const alice = await accountWith('p'.repeat(72))
  t.equal(await passwords.check(alice, password('p'.repeat(72))), 'right')
  t.equal(await passwords.check(alice, password('p'.repeat(73))), 'wrong')
  const umlauts = await accountWith('é'.repeat(36))
  t.equal(await passwords.check(umlauts, password('é'.repeat(36))), 'right')
  t.equal(await passwords.check(umlauts, password(`${'é'.repeat(36)}x`)), 'wrong')
})

// Attack: an implementation in C may stop at a NUL, and take `right\0anything`.
t.test('a password that is right up to a NUL is wrong', async (t) => {
  const passwords = new Passwords(movableClock().clock, COST)
  t.equal(await passwords.check(await accountWith('Correct horse'), password('Correct horse\0x')), 'wrong')
})

t.test('a right password is right for its account alone, and until it is changed', async (t) => {
  const passwords = new Passwords(movableClock().clock, COST)
  const before = await accountWith('first password')
  t.equal(await passwords.check(before, password('first password')), 'right')
  const after = await accountWith('second password')
  t.equal(await passwords.check(after, password('first password')), 'wrong', 'what was remembered is of the old hash')
  t.equal(await passwords.check(after, password('second password')), 'right')
  t.equal(await passwords.check(await accountWith('other', 2), password('second password')), 'wrong')
})

// A queue that takes nobody answers `busy` to whatever needs a bcrypt, so it shows what is remembered.
t.test('a right password is remembered for a minute, and a wrong one is not', async (t) => {
  const hands = movableClock()
  const queue = { concurrency: 1, maxWaiting: 0 }
  const passwords = new Passwords(hands.clock, { ...COST, ...queue })
  const alice = await accountWith('Correct horse')
  const [right, wrong] = [password('Correct horse'), password('wrong horse')]
  t.equal(await passwords.check(alice, right), 'right')
  t.equal(await passwords.check(alice, wrong), 'wrong')

  const whileBusy = async () => {
    const busy = passwords.hash(password('takes the only place'))
    const verdicts = [await passwords.check(alice, right), await passwords.check(alice, wrong)]
    await busy
    return verdicts
  }
  t.strictSame(await whileBusy(), ['right', 'busy'])
  hands.now = new Date(hands.now.getTime() + MINUTE - 1)
  t.strictSame(await whileBusy(), ['right', 'busy'])
  hands.now = new Date(hands.now.getTime() + 1)
  t.strictSame(await whileBusy(), ['busy', 'busy'])
  t.equal(await passwords.check(alice, right), 'right', 'and is asked anew afterwards')
})

t.test('checks beyond those that run and wait are busy, whoever is asked for', async (t) => {
  const passwords = new Passwords(movableClock().clock, { ...COST, concurrency: 2, maxWaiting: 3 })
  await passwords.check(undefined, password('warms up'))
  const alice = await accountWith('Correct horse')
  const attempts = Array.from({ length: 10 }, (_, index) => passwords.check(alice, password(`guess ${index}`)))
  const missing = passwords.check(undefined, password('guess'))
  const verdicts = await Promise.all(attempts)
  t.strictSame(verdicts, [...Array<string>(5).fill('wrong'), ...Array<string>(5).fill('busy')])
  t.equal(await missing, 'busy')
  await t.rejects(Promise.all(Array.from({ length: 6 }, () => passwords.hash(password('x')))), {
    code: 'conflict',
    message: /try again/,
  })
})

t.test('a queue that was full is open again once it has emptied', async (t) => {
  const passwords = new Passwords(movableClock().clock, { ...COST, concurrency: 1, maxWaiting: 1 })
  const alice = await accountWith('Correct horse')
  for (let round = 0; round < 3; round++) {
    const verdicts = await Promise.all(
      ['a', 'b', 'c'].map((text) => passwords.check(alice, password(`${text}${round}`))),
    )
    t.strictSame(verdicts, ['wrong', 'wrong', 'busy'])
  }
  t.equal(await passwords.check(alice, password('Correct horse')), 'right')
})

t.test('the same password asked for many times at once takes one check', async (t) => {
  const passwords = new Passwords(movableClock().clock, { ...COST, concurrency: 1, maxWaiting: 0 })
  const alice = await accountWith('Correct horse')
  const verdicts = await Promise.all(Array.from({ length: 4 }, () => passwords.check(alice, password('Correct horse'))))
  t.strictSame(verdicts, Array<string>(4).fill('right'))
})
