// Rows of requests are written by a thread of their own while there are many, beside everything else that is written.
import { join } from 'node:path'
import t from 'tap'
import { auditEvent, THE_GATE, GATE_CONTEXT } from '../../src/domain/audit/event.js'
import type { AuditEvent } from '../../src/domain/audit/event.js'
import { AuditRecorder } from '../../src/domain/audit/recorder.js'
import { AuditThread } from '../../src/storage/audit-thread.js'
import { openStore } from '../../src/storage/open.js'
import { redactTokens } from '../../src/domain/tokens/token-secret.js'
import { NOON } from './temporary-store.js'

const BATCH_EVENTS = 500
const event = (requestId: string): AuditEvent => ({ ...auditEvent(THE_GATE, NOON, { action: 'git.fetch' }), requestId })
const events = (from: number): AuditEvent[] =>
  Array.from({ length: BATCH_EVENTS }, (_, index) => event(`r${from + index}`))

t.test('many rows and changes from two threads are one chain, and none is lost', async (t) => {
  const data = join(t.testdir({}), 'data')
  const store = openStore(data, undefined, { redact: redactTokens })
  const thread = new AuditThread({ data, keyFile: undefined }, store.audit)
  const changes = async (): Promise<void> => {
    for (let index = 0; index < 100; index++)
      await store.note(GATE_CONTEXT, { action: 'repository.created', target: `r/${index}` })
  }
  await Promise.all([
    thread.record(events(0)),
    changes(),
    thread.record(events(BATCH_EVENTS)),
    thread.record([event('few')]),
  ])
  await thread.close()
  const { rows, flaw } = await store.audit.verify()
  t.equal(flaw, undefined)
  t.equal(rows, 2 * BATCH_EVENTS + 101)
  const fetches = await store.audit.list({ action: 'git', limit: 2 * BATCH_EVENTS + 1 })
  const ids = fetches.map(({ requestId }) => requestId).filter((id) => id !== 'few')
  t.strictSame(new Set(ids).size, 2 * BATCH_EVENTS)
  t.strictSame(fetches.at(0)?.at, NOON)
  await store.close()
})

t.test('rows that the thread could not write are kept, and written when it can', async (t) => {
  const folder = t.testdir({ wrong: '' })
  const data = join(folder, 'data')
  const store = openStore(data, undefined)
  const place = { data: join(folder, 'wrong'), keyFile: undefined as string | undefined }
  const thread = new AuditThread(place, store.audit)
  const reported: string[] = []
  const recorder = new AuditRecorder(thread, (error) => reported.push((error as Error).message), 60_000)
  for (const one of events(0)) recorder.note(one)
  await recorder.flush()
  t.equal(reported.length, 1)
  t.match(reported[0], /the thread that writes the audit log has ended: /)
  t.equal((await store.audit.head()).id, 0)
  place.data = data
  await recorder.close()
  await thread.close()
  t.equal((await store.audit.verify()).rows, BATCH_EVENTS)
  await store.close()
})

// Attack: a push of 20,000 refs is one event, which took a quarter of a second to write.
t.test('an event of many refs is written by the thread, too', async (t) => {
  const data = join(t.testdir({}), 'data')
  const store = openStore(data, undefined)
  const thread = new AuditThread(
    { data, keyFile: undefined },
    { record: () => Promise.reject(new TypeError('written by the main thread')) },
  )
  const refs = Array.from({ length: BATCH_EVENTS }, (_, index) => ({ ref: `refs/heads/${index}`, old: 'a', new: 'b' }))
  await thread.record([{ ...event('push'), refs }])
  await t.rejects(thread.record([event('few')]), TypeError)
  await thread.close()
  t.equal((await store.audit.list({ limit: 1 }))[0]?.refs?.length, BATCH_EVENTS)
  await store.close()
})
