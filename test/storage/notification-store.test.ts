// Notifications stand beside the changes that they tell about, in the same transaction, and are taken by one gate at a time.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import { DAY, HOUR, MINUTE } from '../../src/core/clock.js'
import type { Delivery } from '../../src/domain/notifications/delivery.js'
import { tokensOf } from '../../src/domain/notifications/notification.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { newToken } from './new-token.js'
import { NOON, addAccount, openTemporaryStore } from './temporary-store.js'

const after = (milliseconds: number): Date => new Date(NOON.getTime() + milliseconds)
const HELD = after(10 * MINUTE)
const take = (store: Store, now = NOON, limit = 100): Promise<Delivery[]> =>
  store.notifications.take({ now, leasedUntil: new Date(now.getTime() + 10 * MINUTE), mail: true, limit })
const reported = (deliveries: readonly Delivery[]): string[] =>
  deliveries.map(({ notification, channel }) => {
    const names = tokensOf(notification.payload).map(({ name }) => name)
    return `${notification.recipient.username} ${channel.kind} ${notification.payload.kind} ${names.join(' ')}`
  })
const addIp = (ips: readonly string[], ip: string): string[] => [...ips, ip]

t.test('a change that fails tells nothing', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  const token = newToken(id)
  await store.tokens.add(GATE_CONTEXT, token)
  await t.rejects(store.tokens.add(GATE_CONTEXT, token), 'the same digest again')
  t.strictSame(reported(await take(store)), ['alice mail created ci'])
})

t.test(
  'an account without a channel, or blocked, gets no notification; each webhook is a channel of its own',
  async (t) => {
    const store = openTemporaryStore(t)
    const [none, mail, bot] = [
      await addAccount(store, 'none'),
      await addAccount(store, 'mail', { email: 'mail@example.com' }),
      await addAccount(store, 'bot'),
    ]
    const secret = new Secret('secret', 'secret')
    await store.tokens.add(GATE_CONTEXT, newToken(none.id))
    await store.webhooks.add(GATE_CONTEXT, bot.id, 'http://127.0.0.1/bot', secret, NOON)
    for (const { id } of [none, mail, bot]) await store.tokens.add(GATE_CONTEXT, newToken(id))
    t.strictSame(reported(await take(store)).toSorted(), ['bot webhook created ci', 'mail mail created ci'])
    const { id } = await store.webhooks.add(GATE_CONTEXT, null, 'http://127.0.0.1/all', secret, NOON)
    await store.tokens.add(GATE_CONTEXT, newToken(bot.id))
    await store.accounts.setState(GATE_CONTEXT, mail.id, 'blocked')
    await store.tokens.add(GATE_CONTEXT, newToken(mail.id))
    const taken = await take(store)
    t.strictSame(reported(taken), ['bot webhook created ci', 'bot webhook created ci'])
    t.match(taken[1]?.channel, { kind: 'webhook', id, url: 'http://127.0.0.1/all' })
    t.equal(taken[1]?.channel.kind === 'webhook' && taken[1].channel.secret.reveal(), 'secret')
  },
)

t.test('what one gate has taken no other takes, until its lease ends', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  for (const name of ['a', 'b', 'c']) await store.tokens.add(GATE_CONTEXT, newToken(id, { name }))
  const [first] = await take(store, NOON, 1)
  t.strictSame(reported(await take(store)), ['alice mail created b', 'alice mail created c'])
  t.strictSame(await take(store), [])
  t.equal(await store.notifications.countLeased(NOON), 3)
  const again = await take(store, HELD)
  t.equal(again.length, 3)
  await store.notifications.finish(first!)
  t.equal((await store.notifications.waiting()).count, 3, 'who was too slow takes nothing from who has it now')
  await store.notifications.finish(again[0]!)
  await store.notifications.release(again[1]!)
  await store.notifications.postpone(again[2]!, 'it is down', HELD, after(HOUR))
  t.match(await store.notifications.waiting(), { count: 2, mails: 2, lastError: 'it is down' })
  t.equal((await store.notifications.failedSince(HELD)).count, 1)
  t.strictSame(reported(await take(store, HELD)), ['alice mail created b'])
  const wanted = { now: after(HOUR / 2), leasedUntil: after(HOUR), mail: true, limit: 9, failedBefore: after(HOUR / 2) }
  const impatient = await store.notifications.take(wanted)
  t.strictSame(reported(impatient), ['alice mail created b', 'alice mail created c'], 'on demand, before it is due')
  t.equal(impatient[1]?.attempts, 1)
})

t.test('tokens that end are told once, by whoever comes first, up to a hundred by name', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  for (let number = 0; number < 103; number += 1)
    await store.tokens.add(GATE_CONTEXT, newToken(id, { expiresAt: after(DAY) }))
  await store.tokens.add(GATE_CONTEXT, newToken(id, { expiresAt: after(7 * DAY) }))
  await store.tokens.add(GATE_CONTEXT, newToken(id, { expiresAt: NOON }))
  await take(store, NOON, 1_000)
  const note = () => store.notifications.addExpiring(NOON, after(7 * DAY))
  t.strictSame(await Promise.all([note(), note()]), [1, 0])
  const [delivery] = await take(store)
  t.match(delivery?.notification.payload, { kind: 'expiring', more: 3 })
  t.equal(tokensOf(delivery!.notification.payload).length, 100)
  t.equal(await store.notifications.addExpired(after(-HOUR), NOON), 1)
  t.equal(await store.notifications.addExpired(after(-HOUR), NOON), 0)
})

t.test('a new address is told once; a derived token’s is its parent’s, a successor knows them', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  const parent = await store.tokens.add(GATE_CONTEXT, newToken(id, { name: 'parent' }))
  const child = await store.tokens.add(GATE_CONTEXT, newToken(id, { name: 'child', parentId: parent.id }))
  const hidden = await store.tokens.add(GATE_CONTEXT, newToken(id, { name: 'hidden', impersonation: true }))
  t.strictSame(reported(await take(store)), ['alice mail created parent'])
  const use = (tokenId: number, ip: string, at = NOON) => store.tokens.recordUses([{ tokenId, ip, at }], addIp)
  await use(child.id, '192.0.2.1')
  await use(parent.id, '192.0.2.1')
  await use(hidden.id, '192.0.2.1')
  t.strictSame(reported(await take(store)), ['alice mail new-address parent'])
  await use(parent.id, '192.0.2.2', after(MINUTE))
  await use(child.id, '192.0.2.3', after(2 * MINUTE))
  t.strictSame(await take(store, after(HOUR - 1)).then(reported), [
    'alice mail created parent',
    'alice mail new-address parent',
  ])
  const next = newToken(id, { name: 'next', previousId: parent.id })
  const successor = await store.tokens.replace(GATE_CONTEXT, parent.id, next, after(HOUR))
  await use(successor!.id, '192.0.2.3', after(3 * HOUR))
  const waiting = await take(store, after(4 * HOUR))
  t.strictSame(reported(waiting).slice(-2), ['alice mail rotated parent next', 'alice mail new-address parent'])
  const payload = waiting.find(
    ({ notification }) => notification.createdAt > NOON && notification.payload.kind === 'new-address',
  )?.notification.payload
  t.match(payload, { addresses: [{ ip: '192.0.2.2', at: after(MINUTE) }, { ip: '192.0.2.3' }], more: 0 })
})

t.test('a thousand addresses of a token are known, then the oldest is forgotten', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  const token = await store.tokens.add(GATE_CONTEXT, newToken(id))
  const uses = Array.from({ length: 1_005 }, (_, index) => ({
    tokenId: token.id,
    ip: `10.0.${index >> 8}.${index & 255}`,
    at: after(index),
  }))
  await store.tokens.recordUses(uses, (ips) => [...ips])
  const database = new SQLite(join(t.testdirName, 'data', 'gitgate.sqlite3'), { readonly: true })
  const known = database.prepare('SELECT count(*) AS count, min(first_used_at) AS oldest FROM token_addresses').get()
  database.close()
  t.strictSame(known, { count: 1_000, oldest: after(5).getTime() })
  const named = (await take(store, after(2 * HOUR))).map(({ notification }) => notification.payload)
  t.match(named.at(-1), { kind: 'new-address', more: 904 })
})
