import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import type { Test } from 'tap'
import type { Account } from '../../../src/domain/accounts/account.js'
import { Passwords } from '../../../src/domain/accounts/password.js'
import type { Enrolment } from '../../../src/domain/accounts/two-factor.js'
import { enableTwoFactor, enrol, matchTotp, verifySecondFactor } from '../../../src/domain/accounts/two-factor.js'
import { SECOND } from '../../../src/core/clock.js'
import { Secret } from '../../../src/core/secret.js'
import type { Store } from '../../../src/storage/open.js'
import { NOON, addAccount, movableClock, openTemporaryStore } from '../../storage/temporary-store.js'

// RFC 6238, appendix B: the SHA-1 seed is the ASCII text 12345678901234567890; the codes are the last six of its eight digits.
const RFC_SEED = new Secret('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', 'two-factor seed')
const RFC_VECTORS: Readonly<Record<number, string>> = {
  59: '287082',
  1111111109: '081804',
  1111111111: '050471',
  1234567890: '005924',
  2000000000: '279037',
  20000000000: '353130',
}
/** The step that the code 005924 belongs to. */
const STEP = 41152263

function at(seconds: number): Date {
  return new Date(seconds * SECOND)
}

t.test('codes are those of RFC 6238', async (t) => {
  for (const [seconds, code] of Object.entries(RFC_VECTORS))
    t.equal(matchTotp(RFC_SEED, code, at(Number(seconds))), Math.floor(Number(seconds) / 30), seconds)
})

t.test('a code is right one step before and after its own, and not two', async (t) => {
  const code = '005924'
  const begins = STEP * 30
  for (const second of [begins - 30, begins - 1, begins, begins + 29, begins + 30, begins + 59])
    t.equal(matchTotp(RFC_SEED, code, at(second)), STEP, `at ${second - begins} s`)
  for (const second of [begins - 60, begins - 31, begins + 60, begins + 3600])
    t.equal(matchTotp(RFC_SEED, code, at(second)), undefined, `at ${second - begins} s`)
})

t.test('what is not six digits is no code', async (t) => {
  const wrong = [
    '',
    '5924',
    '00592',
    '0005924',
    '005925',
    '00592a',
    ' 005924',
    '005924\n',
    '-05924',
    '٠٠٥٩٢٤',
    '0x1734',
  ]
  for (const code of wrong) t.equal(matchTotp(RFC_SEED, code, at(1234567890)), undefined, JSON.stringify(code))
})

t.test('an enrolment shows a seed of 160 bits, its URI, and ten different recovery codes', async (t) => {
  const { seed, uri, recoveryCodes } = enrol({ username: 'alice' }, 'gitgate')
  t.match(seed.reveal(), /^[A-Z2-7]{32}$/)
  const url = new URL(uri.reveal())
  t.equal(`${url.protocol}//${url.host}`, 'otpauth://totp')
  t.equal(decodeURIComponent(url.pathname), '/gitgate:alice')
  t.match(Object.fromEntries(url.searchParams), { secret: seed.reveal(), issuer: 'gitgate' })
  t.equal(new Set(recoveryCodes.map((code) => code.reveal())).size, 10)
  for (const code of recoveryCodes) t.match(code.reveal(), /^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}$/)
  t.notSame(enrol({ username: 'alice' }, 'gitgate').seed.reveal(), seed.reveal())
  t.notMatch(JSON.stringify({ seed, uri, recoveryCodes }), seed.reveal(), 'none of it can be printed by accident')
})

type World = {
  readonly store: Store
  readonly passwords: Passwords
  readonly alice: Account
  readonly recoveryCodes: readonly Secret[]
  readonly verify: (code: string, now?: Date) => ReturnType<typeof verifySecondFactor>
}

/** Alice has the second factor of the RFC. */
async function enabledWorld(t: Test): Promise<World> {
  const store = openTemporaryStore(t)
  const passwords = new Passwords(movableClock().clock, { cost: 4 })
  const enrolment: Enrolment = { ...enrol({ username: 'alice' }, 'gitgate'), seed: RFC_SEED }
  await enableTwoFactor(store.twoFactors, GATE_CONTEXT, passwords, await addAccount(store, 'alice'), enrolment, NOON)
  const alice = (await store.accounts.findByUsername('alice'))!
  return {
    store,
    passwords,
    alice,
    recoveryCodes: enrolment.recoveryCodes,
    verify: (code, now = at(1234567890)) =>
      verifySecondFactor(store.twoFactors, GATE_CONTEXT, passwords, alice, new Secret(code, 'code'), now),
  }
}

t.test('a code is taken once, even within its minute', async (t) => {
  const { verify, alice } = await enabledWorld(t)
  t.equal(alice.twoFactorEnabled, true)
  t.equal(await verify('005924'), 'totp')
  t.equal(await verify('005924'), 'wrong')
  t.equal(await verify('005924', at(1234567890 + 30)), 'wrong')
})

// Attack: the code of the step before, seen over a shoulder, is still within the drift.
t.test('after a code was used, no older one is taken', async (t) => {
  const { verify } = await enabledWorld(t)
  // 1111111109 and 1111111111 lie in neighbouring steps.
  t.equal(await verify('050471', at(1111111111)), 'totp')
  t.equal(await verify('081804', at(1111111111)), 'wrong')
  t.equal(await verify('005924', at(1234567890)), 'totp', 'a newer one is')
})

t.test('of several requests with the same code at once, one wins', async (t) => {
  const { verify } = await enabledWorld(t)
  const verdicts = await Promise.all([verify('005924'), verify('005924'), verify('005924')])
  t.strictSame(verdicts.toSorted(), ['totp', 'wrong', 'wrong'])
})

t.test('blanks and dashes in a code don’t count', async (t) => {
  for (const code of ['005 924', ' 005924\n', '00-59-24', '005\u00A0924']) {
    await t.test(JSON.stringify(code), async (t) => {
      const { verify } = await enabledWorld(t)
      t.equal(await verify(code), 'totp')
    })
  }
})

t.test('each of the ten recovery codes is good once', async (t) => {
  const { verify, recoveryCodes, store, alice } = await enabledWorld(t)
  for (const [index, code] of recoveryCodes.entries()) {
    t.equal(await verify(code.reveal()), 'recovery-code', `code ${index + 1}`)
    t.equal(await verify(code.reveal()), 'wrong', `code ${index + 1} again`)
    t.equal((await store.twoFactors.find(alice.id))?.recoveryCodes.length, 9 - index)
  }
})

t.test('the hashes of recovery codes cost less than those of passwords, and older ones are good', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const passwords = new Passwords(() => NOON, { cost: 10 })
  const { seed, recoveryCodes } = enrol(alice, 'gitgate')
  await enableTwoFactor(store.twoFactors, GATE_CONTEXT, passwords, alice, { seed, recoveryCodes }, NOON)
  const kept = (await store.twoFactors.find(alice.id))!.recoveryCodes
  for (const { hash } of kept) t.match(hash.reveal(), /^\$2b\$08\$/)
  const older = await Promise.all(recoveryCodes.slice(0, 2).map((code) => passwords.hash(code)))
  t.match(older[0]!.reveal(), /^\$2b\$10\$/)
  await store.twoFactors.replaceRecoveryCodes(GATE_CONTEXT, alice.id, older)
  t.equal(
    await verifySecondFactor(store.twoFactors, GATE_CONTEXT, passwords, alice, recoveryCodes[1]!, NOON),
    'recovery-code',
  )
})

t.test('a recovery code may be typed in capitals, with blanks, or without its dashes', async (t) => {
  const { verify, recoveryCodes } = await enabledWorld(t)
  const [first, second, third] = recoveryCodes.map((code) => code.reveal())
  t.equal(await verify(first?.toUpperCase() ?? ''), 'recovery-code')
  t.equal(await verify(second?.replaceAll('-', ' ') ?? ''), 'recovery-code')
  t.equal(await verify(third?.replaceAll('-', '') ?? ''), 'recovery-code')
  for (const wrong of ['', 'zzzz-zzzz-zzzz', 'zzzz-zzzz', `${first ?? ''}-zzzz`]) t.equal(await verify(wrong), 'wrong')
})

t.test('a right recovery code is never called wrong because too many checks wait', async (t) => {
  const { store, alice, recoveryCodes } = await enabledWorld(t)
  const full = new Passwords(movableClock().clock, { cost: 4, concurrency: 0, maxWaiting: 0 })
  const verdict = verifySecondFactor(store.twoFactors, GATE_CONTEXT, full, alice, recoveryCodes[0]!, NOON)
  await t.rejects(verdict, { code: 'conflict' })
})

t.test('two-factor authentication is turned on once, off, and on again with a new seed', async (t) => {
  const { store, passwords, alice, verify } = await enabledWorld(t)
  const again = enrol(alice, 'gitgate')
  const enable = (account: Account) => enableTwoFactor(store.twoFactors, GATE_CONTEXT, passwords, account, again, NOON)
  await t.rejects(enable(alice), { code: 'conflict', message: /already on/ })
  // Two commands at once: both have read the account before either has changed it.
  await t.rejects(enable({ ...alice, twoFactorEnabled: false }), { code: 'conflict' })
  t.equal((await store.twoFactors.find(alice.id))?.seed.reveal(), RFC_SEED.reveal(), 'and nothing was changed')

  await store.twoFactors.disable(GATE_CONTEXT, alice.id)
  t.equal((await store.accounts.find(alice.id))?.twoFactorEnabled, false)
  t.equal(await store.twoFactors.find(alice.id), undefined)
  await t.rejects(verify('005924'), { code: 'conflict', message: /is off/ })

  await enable((await store.accounts.find(alice.id))!)
  t.equal(await verify('005924'), 'wrong', 'the old seed is gone')
  t.equal((await store.twoFactors.find(alice.id))?.recoveryCodes.length, 10)
})
