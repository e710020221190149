// Attack: many passwords at once, known names or not, on a machine of many cores. Their hashes took all of libuv's threads, so that
// file reads and name look-ups waited for 22 s.
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { Passwords } from '../../src/domain/accounts/password.js'
import { systemClock } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'

const CHECKS = 24

for (const [whose, check] of [
  ['new passwords', (passwords: Passwords, text: string) => passwords.hash(new Secret(text, 'password'))],
  [
    'accounts that there are not',
    (passwords: Passwords, text: string) => passwords.check(undefined, new Secret(text, 'password')),
  ],
] as const) {
  t.test(`a file is read while the passwords of ${whose} are hashed`, async (t) => {
    const passwords = new Passwords(systemClock, { cost: 8, concurrency: 16 })
    // What a missing account is compared with is made first.
    await check(passwords, 'the first')
    let finished = 0
    const checks = Array.from({ length: CHECKS }, async (_, index) => {
      await check(passwords, `password ${index}`)
      finished += 1
    })
    await new Promise(setImmediate)
    await readFile(import.meta.filename)
    // Behind all of them it would come after 20.
    t.ok(finished < CHECKS / 2, `${finished} hashes before the file`)
    await Promise.all(checks)
  })
}

t.test('whoever waits for the hash of a missing account is told so where too many wait', async (t) => {
  const passwords = new Passwords(systemClock, { cost: 4, maxWaiting: 0, concurrency: 1 })
  const hashing = passwords.hash(new Secret('a password', 'password'))
  t.equal(await passwords.check(undefined, new Secret('x', 'password')), 'busy')
  await hashing
  t.equal(await passwords.check(undefined, new Secret('x', 'password')), 'wrong')
})
