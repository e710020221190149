// Attack: pushes of 80,000 refs, 221 KB of gzip each, that are refused. Each added 10 MB to the audit log, until the disk was full.
import t from 'tap'
import { populate, ZERO } from '../acceptance/pushes.js'
import { embedded } from '../backends/embedded.js'

const REFS = 1_500

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

// What a push may have changed is listed in full: otherwise 1,000 other refs would hide it.
t.test('the events of a push that is passed on list all refs', async (t) => {
  const { world, next, post } = await populate(t, embedded)
  const lines = Array.from({ length: REFS }, (_, index) => `${ZERO} ${next} refs/heads/agent/${index}`)
  await post(lines, 'report-status')
  const events = await world.store.audit.list({ action: 'git', limit: 2 })
  t.strictSame(
    events.map(({ action, refs }) => [action, refs?.length]),
    [
      ['git.pushed', REFS],
      ['git.push', REFS],
    ],
  )
})
