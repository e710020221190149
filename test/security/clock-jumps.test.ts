// Attack: the clock jumps forward, by a bad time server or a dead battery. The job of the night took all audit events for too old, and
// deleted them for ever.
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { auditEvent, THE_GATE, GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { openStore } from '../../src/storage/open.js'
import { movableClock, NOON } from '../storage/temporary-store.js'

const JUMP = 3_650 * DAY

/** A gate's data folder that keeps audit events for 30 days. */
async function openLog(t: Test, env: Readonly<Record<string, string>> = {}) {
  const hands = movableClock()
  const cli = new GitgateCli(temporaryFolder(t), env, { clock: hands.clock })
  const store = openStore(join(cli.folder, 'data'), undefined, { clock: hands.clock, durable: false })
  t.teardown(() => store.close())
  /** Ten events on each of some days. */
  const live = async (days: number): Promise<void> => {
    for (let day = 0; day < days; day += 1) {
      await store.audit.record(
        Array.from({ length: 10 }, () => auditEvent(THE_GATE, hands.now, { action: 'git.fetch' })),
      )
      hands.now = new Date(hands.now.getTime() + DAY)
    }
  }
  const jump = (milliseconds: number): void => {
    hands.now = new Date(hands.now.getTime() + milliseconds)
  }
  const night = async (): Promise<string> => (await cli.run(['jobs', 'run', 'audit-retention'])).stderr.trim()
  const count = async (): Promise<number> => (await store.audit.list({ limit: 10_000 })).length
  await store.settings.set(GATE_CONTEXT, new Map([['audit_retention', '30']]), NOON)
  return { cli, store, hands, live, jump, night, count }
}

t.test('a clock that jumps forward deletes no audit event for two days', async (t) => {
  const { store, live, jump, night, count } = await openLog(t, { GITGATE_AUDIT_PRUNE_SHARE: '50' })
  await live(31)
  const before = await count()
  jump(JUMP)
  t.equal(
    await night(),
    'audit-retention: 0 rows deleted; 311 are older than 30 days by the clock, but the log confirms 2026-07-13: check the clock; ' +
      'to delete now all that is too old by the clock: gitgate audit prune --force.',
  )
  await live(2)
  t.match(await night(), /^audit-retention: 0 rows deleted; 311 are older/)
  t.equal(await count(), before + 20)
  // The clock is set right.
  jump(-JUMP)
  t.match(await night(), /^audit-retention: 0 rows deleted/)
  await live(5)
  t.equal(await night(), 'audit-retention: 51 rows deleted.', 'what is older than 30 days indeed')
  t.equal((await store.audit.verify()).flaw, undefined)
})

t.test('a clock that stays wrong deletes a tenth of the log in a night', async (t) => {
  const { live, jump, night, count } = await openLog(t)
  await live(31)
  jump(JUMP)
  await live(3)
  const before = await count()
  t.equal(before, 341)
  t.match(
    await night(),
    /^audit-retention: 34 rows deleted; 277 more are too old, but a run deletes at most 10% of the log/,
  )
  t.equal(await count(), before - 34 + 1, 'and one tells so')
})

t.test('the share is an option', async (t) => {
  const { live, night } = await openLog(t, { GITGATE_AUDIT_PRUNE_SHARE: '50' })
  await live(100)
  t.match(
    await night(),
    /^audit-retention: 500 rows deleted; 171 more are too old, but a run deletes at most 50% of the log/,
  )
})

t.test('a log without events on three days deletes nothing', async (t) => {
  const { live, jump, night } = await openLog(t)
  await live(1)
  jump(JUMP)
  t.match(
    await night(),
    /^audit-retention: 0 rows deleted; 11 are older .* but the log has events on fewer than three days/,
  )
})

t.test('audit prune --force deletes by the clock alone, and the log names who did', async (t) => {
  const { cli, store, live, count } = await openLog(t)
  await live(100)
  t.match(await cli.json('audit', 'prune'), { deleted: 100, kept: 601, confirmed_at: '2026-09-20T12:00:00.000Z' })
  t.match((await cli.run(['audit', 'prune', '--force'])).stderr, /^601 rows deleted\.\n$/)
  t.equal(await count(), 302)
  t.match(await store.audit.list({ limit: 1 }), [
    { action: 'audit.pruned', via: 'cli', operator: /./, details: { rows: 601, forced: true } },
  ])
  t.equal((await store.audit.verify()).flaw, undefined)
  await store.settings.set(GATE_CONTEXT, new Map([['audit_retention', 'null']]), NOON)
  t.match((await cli.run(['audit', 'prune', '--force'])).stderr, /^everything is kept \(setting audit_retention\)/)
})

t.test('events from the future at the beginning hold up no pruning', async (t) => {
  const { live, jump, night } = await openLog(t)
  jump(JUMP)
  await live(2)
  jump(-JUMP)
  await live(100)
  t.match(await night(), /^audit-retention: 102 rows deleted; \d+ more are too old/)
  t.match(await night(), /^audit-retention: 9\d rows deleted/)
})
