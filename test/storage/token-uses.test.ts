// A summary of what tokens were used for, kept beside the audit log. It costs no more for a busy token.
import Database from 'better-sqlite3'
import { join } from 'node:path'
import t from 'tap'
import type { AuditAction } from '../../src/domain/audit/event.js'
import { auditEvent, THE_GATE, GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { openStore } from '../../src/storage/open.js'
import { newToken } from './new-token.js'
import { addAccount, NOON, openTemporaryStore, prune } from './temporary-store.js'

const at = (days: number): Date => new Date(NOON.getTime() + days * DAY)
const used = (tokenId: number, day: number, action: AuditAction, repository: string, ip = '10.0.0.1') =>
  auditEvent({ ...THE_GATE, tokenId, ip }, at(day), { action, repository })

t.test('the repositories that a token was used with are known, those of derived ones among them', async (t) => {
  const store = openTemporaryStore(t)
  const alice = await addAccount(store, 'alice')
  const token = await store.tokens.add(GATE_CONTEXT, newToken(alice.id))
  const child = await store.tokens.add(GATE_CONTEXT, newToken(alice.id, { parentId: token.id, expiresAt: at(1) }))
  const other = await store.tokens.add(GATE_CONTEXT, newToken(alice.id, { scopes: ['api'] }))
  await store.audit.record([
    used(token.id, 1, 'git.fetch', 'a'),
    used(token.id, 9, 'git.fetch', 'b'),
    used(token.id, 2, 'git.fetch', 'b'),
    used(child.id, 9, 'git.pushed', 'b'),
    used(child.id, 9, 'git.push', 'c'),
    auditEvent({ ...THE_GATE, tokenId: token.id }, at(9), {
      action: 'git.fetch',
      repository: 'hidden',
      decision: 'refused',
    }),
  ])
  t.strictSame(await store.audit.usedRepositories(token.id, at(0)), { read: 2, written: 1 })
  t.strictSame(await store.audit.usedRepositories(token.id, at(5)), { read: 1, written: 1 })
  t.strictSame(await store.audit.usedRepositories(child.id, at(0)), { read: 0, written: 0 })
  const listed = await store.tokens.listUsed({ state: 'active' }, at(0), at(10), true)
  t.match(listed, [
    { id: other.id, scopes: ['api'], used: { read: 0, written: 0 } },
    { id: token.id, used: { read: 2, written: 1 } },
  ])
})

t.test('a database from before knows what its trail tells', async (t) => {
  const folder = join(t.testdir(), 'data')
  const before = openStore(folder, undefined)
  const alice = await addAccount(before, 'alice')
  const token = await before.tokens.add(GATE_CONTEXT, newToken(alice.id))
  await before.audit.record([used(token.id, 1, 'git.fetch', 'a'), used(token.id, 2, 'git.pushed', 'a')])
  await before.close()
  const database = new Database(join(folder, 'gitgate.sqlite3'))
  database.exec('DROP TRIGGER audit_events_token_use; DROP TABLE token_uses; DROP INDEX audit_events_refused')
  for (const name of ['username', 'impersonator', 'target', 'owner']) database.exec(`DROP TRIGGER audit_names_${name}`)
  database.exec('DROP TABLE audit_names; DROP TABLE audit_carried')
  database.pragma('user_version = 4')
  database.close()
  const store = openStore(folder, undefined)
  t.strictSame(await store.audit.usedRepositories(token.id, at(0)), { read: 1, written: 1 })
  t.match(await store.audit.list({ user: 'alice', limit: 9 }), [{ action: 'token.created' }, { action: 'user.added' }])
  await store.close()
})

t.test('of a busy token the last rows are added up', async (t) => {
  const store = openTemporaryStore(t)
  await store.audit.record(
    Array.from({ length: 30 }, (_, day) => used(1, day, 'git.fetch', `r${day}`)).concat(used(2, 40, 'git.fetch', 'x')),
  )
  const counts = async (tokens: number[], since: Date, most: number) => {
    const { usage, countedSince } = await store.audit.recentUsage(tokens, since, most)
    return [usage.reduce((sum, { count }) => sum + count, 0), countedSince]
  }
  t.strictSame(await counts([1], at(0), 30), [30, undefined])
  t.strictSame(await counts([1], at(0), 10), [10, at(20)])
  t.strictSame(await counts([1], at(25), 10), [5, undefined], 'what is older was not asked for')
  t.strictSame(await counts([2, 1], at(0), 10), [10, at(21)])
  t.strictSame(await counts([1, 2], at(0), 10), [10, at(20)], 'those of the first tokens first')
  await prune(store, at(20))
  t.strictSame(await store.audit.usedRepositories(1, at(0)), { read: 10, written: 0 }, 'no longer than the audit log')
})
