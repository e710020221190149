// Somebody with a shell on the database changes the audit log; verification names the first row.
import SQLite from 'better-sqlite3'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { describeFlaw } from '../../src/domain/audit/flaw.js'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import { NOON, addAccount, prune } from './temporary-store.js'

const COPY = 'at, action, decision, via, hash'

/** What is done to ten rows, and what verification says of it. */
const TAMPERING: readonly (readonly [string, RegExp | undefined])[] = [
  ['SELECT 1', undefined],
  ["UPDATE audit_events SET username = 'mallory' WHERE id = 4", /^event 4 was edited, moved or inserted/],
  ['UPDATE audit_events SET at = at + 1 WHERE id = 10', /^event 10 was edited, moved or inserted/],
  ['UPDATE audit_events SET hash = lower(hex(randomblob(32))) WHERE id = 3', /^event 3 was edited, moved or inserted/],
  ['DELETE FROM audit_events WHERE id = 1', /^event 1 was removed$/],
  ['DELETE FROM audit_events WHERE id IN (5, 6)', /^events 5 to 6 were removed$/],
  ['DELETE FROM audit_events WHERE id > 7', /^events 8 to 10 were removed$/],
  ['DELETE FROM audit_events', /^events 1 to 10 were removed$/],
  [
    'UPDATE audit_events SET id = -1 WHERE id = 5; UPDATE audit_events SET id = 5 WHERE id = 6; UPDATE audit_events SET id = 6 WHERE id = -1',
    /^event 5 was edited, moved or inserted/,
  ],
  [`INSERT INTO audit_events (id, ${COPY}) SELECT 11, ${COPY} FROM audit_events WHERE id = 10`, /^event 11 was edited/],
  [
    `INSERT INTO audit_events (id, ${COPY}) SELECT 0, ${COPY} FROM audit_events WHERE id = 1`,
    /^event 0 was not written by gitgate/,
  ],
  ["DELETE FROM instance_facts WHERE key = 'audit_head'", /record of the log's ends was edited/],
  [
    "DELETE FROM audit_events WHERE id = 10; UPDATE instance_facts SET value = (SELECT '9 ' || hash || ' 00' FROM audit_events WHERE id = 9) WHERE key = 'audit_head'",
    /record of the log's ends was edited/,
  ],
  [
    "DELETE FROM audit_events WHERE id < 4; INSERT INTO instance_facts VALUES ('audit_start', (SELECT '3 ' || hash || ' 00' FROM audit_events WHERE id = 4))",
    /record of the log's ends was edited|events 1 to 3 were removed/,
  ],
]

async function withTenRows(folder: string): Promise<Store> {
  const store = openStore(folder, undefined)
  const event = (hours: number) =>
    auditEvent(THE_GATE, new Date(NOON.getTime() + hours * 3_600_000), { action: 'git.fetch' })
  for (let hours = 0; hours < 5; hours += 1) await store.audit.record([event(2 * hours), event(2 * hours + 1)])
  return store
}

function withShell(folder: string, statements: string): void {
  const shell = new SQLite(join(folder, 'gitgate.sqlite3'))
  shell.exec(statements)
  shell.close()
}

t.test('verification names the first row that was changed, removed, moved or put in', async (t) => {
  const root = t.testdir()
  for (const [index, [statements, expected]] of TAMPERING.entries()) {
    const folder = join(root, `data-${index}`)
    const store = await withTenRows(folder)
    withShell(folder, statements)
    const { flaw, rows } = await store.audit.verify()
    if (expected === undefined) t.strictSame({ flaw, rows }, { flaw: undefined, rows: 10 })
    else t.match(flaw === undefined ? 'nothing' : describeFlaw(flaw), expected, statements)
    await store.close()
  }
})

t.test('a head that is kept elsewhere shows a trail that was written anew', async (t) => {
  const folder = join(t.testdir(), 'data')
  const store = await withTenRows(folder)
  const anchor = await store.audit.head()
  await store.audit.record([auditEvent(THE_GATE, NOON, { action: 'git.push' })])
  t.equal((await store.audit.verify(anchor)).flaw, undefined)
  await store.close()
  // The whole database goes, and the key stays: the same number of rows, chained and signed as they should be.
  withShell(folder, "DELETE FROM audit_events; DELETE FROM instance_facts WHERE key = 'audit_head'")
  rmSync(join(folder, 'audit-mark'))
  const later = openStore(folder, undefined)
  for (let id = 0; id < 12; id += 1) await later.audit.record([auditEvent(THE_GATE, NOON, { action: 'git.fetch' })])
  t.equal((await later.audit.verify()).flaw, undefined, 'nothing in the database tells')
  t.match((await later.audit.verify(anchor)).flaw, { kind: 'rewritten', id: 10 })
  await later.close()
})

// Attack: the last rows are removed, and the gate goes on writing, so that its own new head covers the loss.
t.test('a head that does not match is recorded in the audit log permanently', async (t) => {
  const folder = join(t.testdir(), 'data')
  const store = await withTenRows(folder)
  withShell(folder, "DELETE FROM audit_events WHERE id > 8; DELETE FROM instance_facts WHERE key = 'audit_head'")
  await addAccount(store, 'alice')
  t.match(await store.audit.list({ limit: 2 }), [
    { id: 10, action: 'user.added' },
    { id: 9, action: 'audit.ends_changed' },
  ])
  t.strictSame((await store.audit.verify()).flaw, { kind: 'noted', id: 9 })
  await store.close()
})

t.test('a row whose clock was wrong holds up no pruning, and takes no others along', async (t) => {
  const folder = join(t.testdir(), 'data')
  const store = openStore(folder, undefined)
  const days = [1_000, 1, 2, 3, 4, -1_000, 50, 51, 52]
  for (const day of days)
    await store.audit.record([auditEvent(THE_GATE, new Date(NOON.getTime() + day * DAY), { action: 'git.fetch' })])
  t.equal(await prune(store, new Date(NOON.getTime() + 10 * DAY)), 5)
  t.equal((await store.audit.verify()).flaw, undefined)
  t.match(await store.audit.list({ limit: 10, oldestFirst: true }), [{ id: 6 }, { id: 7 }, { id: 8 }, { id: 9 }, {}])
  await store.close()
})

t.test('what is pruned leaves a chain that can be verified, and removals before it are seen', async (t) => {
  const folder = join(t.testdir(), 'data')
  const store = await withTenRows(folder)
  const anchor = await store.audit.head()
  t.equal(await prune(store, new Date(NOON.getTime() + 4 * 3_600_000)), 4)
  t.match(await store.audit.verify(anchor), { rows: 7, first: { id: 4 }, flaw: undefined })
  t.match(await store.audit.list({ limit: 1 }), [{ action: 'audit.pruned', details: { rows: 4 } }])
  t.equal(await prune(store, new Date(NOON.getTime() - DAY)), 0)
  await t.rejects(store.audit.verify({ id: 3, hash: 'x' }), { code: 'invalid', message: /event 3 was pruned/ })
  withShell(folder, 'DELETE FROM audit_events WHERE id = 5')
  t.match((await store.audit.verify()).flaw, { kind: 'removed', id: 5 })
  t.equal((await prune(store, new Date(NOON.getTime() + 365 * DAY))) > 0, true)
  await store.close()
})
