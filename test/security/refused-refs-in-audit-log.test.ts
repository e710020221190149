// Attack: pushes of 80,000 refs, 221 KB of gzip each, that are refused. Each added 10 MB to the audit log, until the disk was full.
// So did long names, and refused refs beside one that is accepted.
import t from 'tap'
import { populate, ZERO } from '../acceptance/pushes.js'
import { embedded } from '../backends/embedded.js'

const REFS = 1_001
const LONG = 'x'.repeat(1_000)
// 64 KiB hold as many names of 1,014 bytes.
const LISTED = 64

t.test('the event of a refused push lists 1,000 refs, and counts the others', async (t) => {
  const { world, next, post } = await populate(t, embedded)
  const lines = Array.from({ length: REFS }, (_, index) => `${ZERO} ${next} refs/heads/b${index}`)
  const { status } = await post(lines, 'report-status')
  t.equal(status, 200)
  const [event] = await world.store.audit.list({ action: 'git.push', limit: 1 })
  t.match(event, { decision: 'refused', details: { more_refs: REFS - 1_000 } })
  t.equal(event?.refs?.length, 1_000)
  t.strictSame(event?.refs?.[0], { ref: 'refs/heads/b0', old: ZERO, new: next })
})

// What a push may change is listed in full: otherwise 1,000 other refs would hide it.
t.test('the event of a push that is passed on lists all refs', async (t) => {
  const { world, post } = await populate(t, embedded)
  // Git refuses them, because there is no such object.
  const lines = Array.from({ length: REFS }, (_, index) => `${ZERO} ${'1'.repeat(40)} refs/heads/agent/${index}`)
  const { body } = await post(lines, 'report-status')
  t.match(body, 'ng refs/heads/agent/0 ')
  const [event] = await world.store.audit.list({ action: 'git.push', limit: 1 })
  t.match(event, { decision: 'allowed', details: null })
  t.equal(event?.refs?.length, REFS)
})

t.test('the event of a refused push lists 64 KiB of names', async (t) => {
  const { world, next, post } = await populate(t, embedded)
  const lines = Array.from({ length: 100 }, (_, index) => `${ZERO} ${next} refs/heads/b${index}/${LONG}`)
  const { status } = await post(lines, 'report-status')
  t.equal(status, 200)
  const [event] = await world.store.audit.list({ action: 'git.push', limit: 1 })
  t.match(event, { decision: 'refused' })
  t.equal(event?.refs?.length, LISTED)
  t.equal(event?.details?.['more_refs'], 100 - LISTED)
})

t.test('the events of a push that is accepted in part count the refs that are refused', async (t) => {
  const { world, next, post } = await populate(t, embedded)
  const refused = Array.from({ length: REFS }, (_, index) => `${ZERO} ${next} refs/heads/b${index}`)
  await post([`${ZERO} ${'1'.repeat(40)} refs/heads/agent/a`, ...refused], 'report-status')
  const events = await world.store.audit.list({ limit: 10 })
  for (const action of ['git.push', 'git.pushed']) {
    const { details } = events.find((event) => event.action === action) ?? {}
    const rejected = details?.['rejected']
    t.ok(Array.isArray(rejected) && rejected.length <= 1_000, action)
    t.ok(Number(details?.['more_rejected']) > 0, action)
  }
})
