import t from 'tap'
import type { AuditEvent } from '../../../src/domain/audit/event.js'
import { auditEvent, THE_GATE } from '../../../src/domain/audit/event.js'
import { AuditRecorder } from '../../../src/domain/audit/recorder.js'
import { NOON } from '../../storage/temporary-store.js'

const event = (given: Partial<AuditEvent> = {}): AuditEvent => ({
  ...auditEvent(THE_GATE, NOON, { action: 'git.fetch' }),
  ...given,
})

/** A recorder over a log that can fail. */
function createRecorder() {
  const state = { written: [] as AuditEvent[][], outage: undefined as Error | undefined, reported: [] as number[] }
  const record = (events: readonly AuditEvent[]): Promise<void> => {
    if (state.outage !== undefined) return Promise.reject(state.outage)
    state.written.push([...events])
    return Promise.resolve()
  }
  const recorder = new AuditRecorder({ record }, (_error, lost) => state.reported.push(lost), 60_000)
  return { state, recorder, ids: () => state.written.flat().map(({ requestId }) => requestId) }
}

t.test('reads are gathered and written together, in their order', async (t) => {
  const { state, recorder, ids } = createRecorder()
  for (const requestId of ['a', 'b', 'c']) recorder.note(event({ requestId }))
  t.strictSame(state.written, [])
  await recorder.flush()
  t.equal(state.written.length, 1)
  t.strictSame(ids(), ['a', 'b', 'c'])
  await recorder.flush()
  t.equal(state.written.length, 1)
})

t.test('what must be written is written at once, with what was before it', async (t) => {
  const { recorder, ids } = createRecorder()
  recorder.note(event({ requestId: 'read' }))
  await recorder.write(event({ requestId: 'push' }))
  t.strictSame(ids(), ['read', 'push'])
})

t.test('while the store can’t be written, reads are kept, and what must be written is refused', async (t) => {
  const { state, recorder, ids } = createRecorder()
  state.outage = new Error('disk full')
  recorder.note(event({ requestId: 'a' }))
  await t.rejects(recorder.write(event({ requestId: 'push' })), /disk full/)
  recorder.note(event({ requestId: 'b' }))
  await recorder.flush()
  t.strictSame(state.reported, [0, 0])
  state.outage = undefined
  await recorder.close()
  t.strictSame(ids(), ['a', 'b'])
})

t.test('refusals that repeat are one row that counts the others', async (t) => {
  const { state, recorder } = createRecorder()
  const refusal = (given: Partial<AuditEvent>): AuditEvent =>
    event({ action: 'auth.refused', decision: 'refused', ...given })
  for (let times = 0; times < 10; times += 1) recorder.noteRefusal(refusal({ ip: '192.0.2.1', rule: 'wrong password' }))
  recorder.noteRefusal(refusal({ ip: '192.0.2.2', rule: 'wrong password' }))
  await recorder.close()
  t.match(state.written.flat(), [
    { ip: '192.0.2.1', details: null },
    { ip: '192.0.2.2', details: null },
    { ip: '192.0.2.1', details: { repeated: 9 } },
  ])
  t.equal(state.written.flat().length, 3)
})

// Attack: a million names from a million addresses, to fill the disk.
t.test('refusals of very many kinds are bounded', async (t) => {
  const { state, recorder } = createRecorder()
  for (let number = 0; number < 5_000; number += 1)
    recorder.noteRefusal(event({ action: 'auth.refused', decision: 'refused', ip: `192.0.2.${number}` }))
  await recorder.close()
  const rows = state.written.flat()
  t.ok(rows.length < 1_100, `${rows.length} rows`)
  t.match(rows.at(-1), { ip: null, details: { repeated: 4_000 } })
})

// Attack: pushes of 80,000 refs, whose events were written in one transaction that blocked everybody else's changes for seconds.
t.test('events of large pushes are written in transactions of their own', async (t) => {
  const { state, recorder, ids } = createRecorder()
  const push = (refs: number): AuditEvent =>
    event({
      requestId: `${refs}`,
      refs: Array.from({ length: refs }, () => ({ ref: 'refs/heads/a', old: '', new: '' })),
    })
  for (const refs of [1, 80_000, 80_001, 300, 150, 100, 50]) recorder.note(push(refs))
  const waiting = recorder.write(push(2))
  await recorder.flush()
  await waiting
  t.strictSame(
    state.written.map((batch) => batch.map(({ requestId }) => Number(requestId))),
    [[1, 2], [80_000], [80_001], [300, 150], [100, 50]],
  )
  t.equal(ids().length, 8)
})

// Attack: pushes that are refused while the disk is full. Their events took all memory.
t.test('while the store can’t be written, large events are kept up to 256 MiB', async (t) => {
  const { state, recorder, ids } = createRecorder()
  state.outage = new Error('disk full')
  const rejected = Array.from({ length: 400_000 }, () => ({ ref: 'refs/heads/a', reason: 'no' }))
  for (const requestId of ['a', 'b', 'c', 'd']) recorder.note(event({ requestId, details: { rejected } }))
  await recorder.flush()
  t.strictSame(state.reported, [2])
  state.outage = undefined
  await recorder.close()
  t.strictSame(ids(), ['c', 'd'])
})
