// The rows about one account, among very many: those that a look at all rows finds, and in the same order.
import t from 'tap'
import type { AuditEvent } from '../../src/domain/audit/event.js'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { NOON, openTemporaryStore, prune } from './temporary-store.js'

const BLOCK = 4_096

/** What each row is about: mostly somebody busy; around the ends of blocks, and in one block alone, others. */
const special: Readonly<Record<number, Partial<AuditEvent>>> = {
  1: { username: 'first' },
  [BLOCK - 1]: { username: 'edge' },
  [BLOCK]: { target: 'user:edge' },
  [BLOCK + 1]: { impersonator: 'edge', username: 'other' },
  [2 * BLOCK - 1]: { details: { owner: 'user:edge' }, target: 'token:7' },
  [3 * BLOCK]: { username: 'edge' },
  [3 * BLOCK + 5]: { username: 'first' },
}
const ROWS = 3 * BLOCK + 100

t.test('the rows about an account are found wherever they are', async (t) => {
  const store = openTemporaryStore(t)
  for (let id = 1; id <= ROWS; id += BLOCK) {
    const count = Math.min(BLOCK, ROWS + 1 - id)
    await store.audit.record(
      Array.from({ length: count }, (_, offset) => ({
        ...auditEvent({ ...THE_GATE, username: 'busy' }, new Date(NOON.getTime() + id + offset), {
          action: 'git.fetch',
        }),
        ...special[id + offset],
      })),
    )
  }
  const ids = async (query: object) => (await store.audit.list({ limit: 5, ...query })).map(({ id }) => id)
  const edges = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 3 * BLOCK]
  t.strictSame(await ids({ user: 'edge' }), edges.toReversed())
  t.strictSame(await ids({ user: 'edge', oldestFirst: true }), edges)
  t.strictSame(await ids({ user: 'edge', limit: 2 }), [3 * BLOCK, 2 * BLOCK - 1])
  t.strictSame(await ids({ user: 'edge', before: 3 * BLOCK, after: BLOCK }), [2 * BLOCK - 1, BLOCK + 1])
  t.strictSame(await ids({ user: 'first' }), [3 * BLOCK + 5, 1])
  t.strictSame(await ids({ user: 'nobody' }), [])
  t.strictSame(await ids({ user: 'other', oldestFirst: true }), [BLOCK + 1])
  const busy = Array.from({ length: ROWS }, (_, at) => at + 1).filter((id) => special[id]?.username === undefined)
  t.strictSame(await ids({ user: 'busy', limit: ROWS }), busy.toReversed())
  t.strictSame(await ids({ user: 'busy', oldestFirst: true, after: BLOCK - 3 }), [
    BLOCK - 2,
    BLOCK,
    BLOCK + 2,
    BLOCK + 3,
    BLOCK + 4,
  ])

  await prune(store, new Date(NOON.getTime() + BLOCK + 1))
  t.strictSame(await ids({ user: 'edge' }), edges.slice(2).toReversed())
  t.strictSame(await ids({ user: 'first' }), [3 * BLOCK + 5])
  await prune(store, new Date(NOON.getTime() + DAY))
  t.strictSame(await ids({ user: 'busy' }), [])
})
