// Attack: the clock was ahead for a while, and is set right. What had been written meanwhile bore times of the future, and held up for years
// whatever waits for a time: jobs, notifications, deliveries.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import t from 'tap'
import { createWorld } from '../acceptance/world.js'
import { DAY, HOUR, MINUTE } from '../../src/core/clock.js'
import { doJob } from '../../src/jobs/jobs.js'
import { newToken } from '../storage/new-token.js'
import { addAccount, NOON, openTemporaryStore } from '../storage/temporary-store.js'

const JUMP = 3_650 * DAY
const after = (milliseconds: number): Date => new Date(NOON.getTime() + milliseconds)

t.test('jobs run again when the clock is set right, in the same gate and after a restart', async (t) => {
  const world = await createWorld(t)
  await world.nextLooks()
  world.advance(JUMP)
  await world.nextLooks()
  world.advance(MINUTE - JUMP)
  await world.nextLooks()
  t.pass('the gate that has seen the wrong time')
  await world.store.jobRuns.write('lifetime-revocation', new Date(world.now.getTime() + JUMP), true, '')
  world.advance(MINUTE)
  const later = await createWorld(t, { data: join(world.folder, 'data') }, undefined, { start: world.now })
  await later.nextLooks()
})

t.test('owners who were told too early are told again in time', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  await store.tokens.add(GATE_CONTEXT, newToken(id, { expiresAt: after(60 * DAY) }))
  const expiring = (day: number) => store.notifications.addExpiring(after(day * DAY), after((day + 7) * DAY))
  const expired = (day: number) => store.notifications.addExpired(after((day - 1) * DAY), after(day * DAY))
  t.strictSame([await expiring(59), await expired(61)], [1, 1], 'the clock is ahead')
  t.strictSame([await expiring(53.5), await expiring(54)], [1, 0], 'before it expires indeed')
  t.strictSame([await expired(60), await expired(60)], [1, 0], 'and when it has')
})

t.test('what expired while the job had run in the future is told', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  await store.tokens.add(GATE_CONTEXT, newToken(id, { expiresAt: after(-2 * DAY) }))
  await store.jobRuns.write('expired-notification', after(JUMP), true, '')
  const config = { smtp: undefined, mailFrom: undefined, auditPruneShare: 10 }
  const options = { store, config, clock: () => NOON, tokensPage: () => Promise.resolve('') }
  t.match(await doJob('expired-notification', options), /^1 notification written/)
})

t.test('deliveries that are due or leased in the future are made now', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice', { email: 'alice@example.com' })
  const take = (now: Date) =>
    store.notifications.take({ now, leasedUntil: new Date(now.getTime() + 10 * MINUTE), mail: true, limit: 10 })
  await store.tokens.add(GATE_CONTEXT, newToken(id, { createdAt: after(JUMP) }))
  t.equal((await take(after(JUMP))).length, 1, 'a gate whose clock is ahead takes it, and is killed')
  t.equal(await store.notifications.countLeased(NOON), 0)
  t.equal((await take(NOON)).length, 1)
  t.equal((await take(NOON)).length, 0, 'a lease of now holds')
})

// Attack: the clock jumps forward, and an agent derives a token. That deleted all that its sisters still needed.
t.test('a jump deletes no derived token that is still good', async (t) => {
  const store = openTemporaryStore(t)
  const { id } = await addAccount(store, 'alice')
  const parent = await store.tokens.add(GATE_CONTEXT, newToken(id))
  const derive = async (day: number): Promise<number> => {
    const [createdAt, expiresAt] = [after(day * DAY), after(day * DAY + HOUR)]
    return (await store.tokens.add(GATE_CONTEXT, newToken(id, { parentId: parent.id, createdAt, expiresAt }))).id
  }
  const left = async (ids: readonly number[]) =>
    (await store.tokens.list({ userId: id })).filter((one) => ids.includes(one.id)).length
  const old = [await derive(0), await derive(1), await derive(1.5)]
  await store.tokens.prune(parent.id, 7 * DAY, after(JUMP))
  await derive(JUMP / DAY)
  await store.tokens.prune(parent.id, 7 * DAY, after(JUMP + DAY))
  t.equal(await left(old), 3)
  for (const day of [20, 21]) await derive(day)
  await store.tokens.prune(parent.id, 7 * DAY, after(22 * DAY))
  t.equal(await left(old), 0, 'in time they go')
})
