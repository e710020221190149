import { mock } from 'node:test'
import t from 'tap'
import type { Test } from 'tap'
import { Bans } from '../../../src/domain/access/ban.js'
import { SECOND } from '../../../src/core/clock.js'
import type { Settings } from '../../../src/domain/policies/settings.js'
import { resolveSettings } from '../../../src/domain/policies/settings.js'
import { NOON } from '../../storage/temporary-store.js'

const ATTACKER = '192.0.2.66'
const STRICT: Settings = {
  ...resolveSettings(new Map()),
  git_basic_auth_maxretry: 3,
  git_basic_auth_findtime: 60,
  git_basic_auth_bantime: 3_600,
}

/** Stops the time that the counter lives by, and returns how to let some of it pass. */
function stopTime(t: Test): (milliseconds: number) => void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: NOON })
  t.teardown(() => mock.timers.reset())
  return (milliseconds) => mock.timers.tick(milliseconds)
}

async function fail(bans: Bans, times: number, ip = ATTACKER, settings = STRICT): Promise<void> {
  for (let attempt = 0; attempt < times; attempt++) await bans.recordFailure(ip, settings)
}

t.test('the failure that reaches the limit bans its address, and no other', async (t) => {
  stopTime(t)
  const bans = new Bans()
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await fail(bans, 2)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await fail(bans, 1)
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
  t.equal(await bans.isBanned('192.0.2.67', STRICT), false)
})

t.test('a ban ends after bantime, and the count begins anew', async (t) => {
  const pass = stopTime(t)
  const bans = new Bans()
  await fail(bans, 3)
  pass(3_600 * SECOND - 1)
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
  pass(1)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await fail(bans, 2)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
})

t.test('failures within findtime count together, and are forgotten after it', async (t) => {
  const pass = stopTime(t)
  const bans = new Bans()
  await fail(bans, 2)
  pass(60 * SECOND)
  await fail(bans, 2)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false, 'the first two are over')
  pass(59 * SECOND)
  await fail(bans, 1)
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
})

t.test('a success takes back the failures of its own login', async (t) => {
  stopTime(t)
  const bans = new Bans()
  await fail(bans, 1)
  await bans.recordFailure(ATTACKER, STRICT, 'alice')
  await bans.recordSuccess(ATTACKER, STRICT, 'ALICE')
  await bans.recordSuccess(ATTACKER, STRICT, 'bob')
  await bans.recordFailure(ATTACKER, STRICT, 'alice')
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await bans.recordSuccess(ATTACKER, STRICT)
  await bans.recordFailure(ATTACKER, STRICT, 'alice')
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await bans.recordFailure(ATTACKER, STRICT, 'bob')
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
})

t.test('failures that arrive during a ban do not prolong it', async (t) => {
  const pass = stopTime(t)
  const bans = new Bans()
  await fail(bans, 3)
  pass(1_800 * SECOND)
  await fail(bans, 10)
  pass(1_800 * SECOND)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
})

t.test('many failures at once ban as well', async (t) => {
  stopTime(t)
  const bans = new Bans()
  await Promise.all(Array.from({ length: 20 }, () => bans.recordFailure(ATTACKER, STRICT)))
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
})

t.test('allowed addresses and networks are never banned', async (t) => {
  stopTime(t)
  const bans = new Bans()
  const settings = { ...STRICT, git_basic_auth_ip_allowlist: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'] }
  for (const ip of ['127.0.0.1', '10.9.8.7', '::ffff:10.9.8.7', '2001:db8::66']) {
    await fail(bans, 5, ip, settings)
    t.equal(await bans.isBanned(ip, settings), false, ip)
  }
  await fail(bans, 3, ATTACKER, settings)
  t.equal(await bans.isBanned(ATTACKER, settings), true)
})

t.test('with bans switched off nothing is counted, and no ban is in force', async (t) => {
  stopTime(t)
  const bans = new Bans()
  const off = { ...STRICT, git_basic_auth_enabled: false }
  await fail(bans, 5, ATTACKER, off)
  t.equal(await bans.isBanned(ATTACKER, STRICT), false)
  await fail(bans, 3)
  t.equal(await bans.isBanned(ATTACKER, off), false)
  t.equal(await bans.isBanned(ATTACKER, { ...STRICT }), true, 'and is again once they are on')
})

t.test('a changed limit is in force from the next attempt on', async (t) => {
  stopTime(t)
  const bans = new Bans()
  await fail(bans, 2)
  const stricter = { ...STRICT, git_basic_auth_maxretry: 1 }
  await fail(bans, 1, ATTACKER, stricter)
  t.equal(await bans.isBanned(ATTACKER, stricter), true)
})

t.test('other settings may change without the count being lost', async (t) => {
  stopTime(t)
  const bans = new Bans()
  await fail(bans, 2)
  const other: Settings = { ...STRICT, push_to_create: false }
  await fail(bans, 1, ATTACKER, other)
  t.equal(await bans.isBanned(ATTACKER, STRICT), true)
})

// Attack: one subscriber has 2⁶⁴ IPv6 addresses and makes each guess from another one.
t.test('IPv6 addresses of one /64 count as one, and those of the next do not', async (t) => {
  stopTime(t)
  const bans = new Bans()
  await fail(bans, 1, '2001:db8:1:2::1')
  await fail(bans, 1, '2001:db8:1:2:ffff:ffff:ffff:ffff')
  await fail(bans, 1, '2001:db8:1:2:3:4::')
  t.equal(await bans.isBanned('2001:db8:1:2:9:9:9:9', STRICT), true)
  for (const other of ['2001:db8:1:3::1', '2001:db8:1::2', '2001:db8::1:2', '::1']) {
    t.equal(await bans.isBanned(other, STRICT), false, other)
  }
})
