// Simultaneous requests share one reading and one run of git, but never one that started before them.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { embeddedGit } from '../../../src/git/embedded/embedded-backend.js'
import { RunCoalescer } from '../../../src/git/embedded/run-coalescer.js'
import { APP, createBareRepository } from './bare-repository.js'

t.test('callers share a run that starts after their call, not the present one', async (t) => {
  const coalescer = new RunCoalescer<string, number>()
  const ends: ((value: number) => void)[] = []
  const run = () => new Promise<number>((resolve) => ends.push(resolve))
  const early = [coalescer.run('a', run), coalescer.run('a', run)]
  await nextTurn()
  t.equal(ends.length, 1)
  const late = [coalescer.run('a', run), coalescer.run('a', run)]
  await nextTurn()
  t.equal(ends.length, 1, 'and never two at once')
  ends[0]?.(1)
  t.strictSame(await Promise.all(early), [1, 1])
  await nextTurn()
  t.equal(ends.length, 2)
  ends[1]?.(2)
  t.strictSame(await Promise.all(late), [2, 2])
})

t.test('a run that fails rejects for those who share it, not for later callers', async (t) => {
  const coalescer = new RunCoalescer<string, number>()
  const failing = () => Promise.reject(new Error('broken'))
  const runs = Promise.allSettled([coalescer.run('a', failing), coalescer.run('a', failing)])
  const reasons = (await runs).map((one) => (one.status === 'rejected' ? (one.reason as Error).message : ''))
  t.strictSame(reasons, ['broken', 'broken'])
  t.equal(await coalescer.run('a', () => Promise.resolve(1)), 1)
})

t.test('a hundred simultaneous calls share one reading', async (t) => {
  const { state } = await createBareRepository(t)
  const first = await state()
  const states = await Promise.all(Array.from({ length: 100 }, () => state()))
  for (const one of states) t.equal(one, states[0], 'the same object, from one reading')
  t.strictSame(states[0], first)
})

// Attack or accident: a fetch after a push gets a state that was read before the push.
t.test('a call after a change does not get a reading that started before it', async (t) => {
  const { where, one, two, state } = await createBareRepository(t)
  writeRefs(where, one, 2_000)
  await state()
  // On a slow machine it sees a change that is newer than its start, and there is no state.
  const early = state().catch(() => undefined)
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  const file = join(where, 'refs/heads/00/0')
  for (const id of [two, one, two]) writeFileSync(file, `${id}\n`)
  const late = await state()
  const now = await state()
  t.equal(late.fingerprint, now.fingerprint)
  await early
})

t.test('a push through the gate changes the fingerprint, whatever the files show', async (t) => {
  const { freshness, state } = await createBareRepository(t)
  const old = await state()
  freshness.changed(APP)
  const now = await state()
  t.not(now.fingerprint, old.fingerprint)
  t.equal(now.identity, old.identity)
  t.equal(now.configuration, old.configuration)
})

t.test('the refs of a state are all refs, packed or loose, in git’s order', async (t) => {
  const { run, one, two, freshness, state } = await createBareRepository(t)
  run('update-ref', 'refs/heads/é', two)
  run('pack-refs', '--all')
  run('tag', '-a', '-m', 'v1', 'v1', one)
  run('update-ref', 'refs/changes/1', two)
  run('symbolic-ref', 'refs/heads/alias', 'refs/heads/main')
  const tag = run('rev-parse', 'refs/tags/v1').trim()
  const list = await freshness.refs(APP, await state())
  const names = [...(list?.ids ?? [])].map(([name, id]) => [Buffer.from(name, 'latin1').toString(), id])
  t.strictSame(names, [
    ['refs/changes/1', two],
    ['refs/heads/alias', one],
    ['refs/heads/main', one],
    ['refs/heads/é', two],
    ['refs/tags/v1', tag],
  ])
  t.strictSame(list?.tips, new Set([two, one, tag]))
})

t.test('all calls for the refs of a state get one list, which is kept until the state changes', async (t) => {
  const { run, two, freshness, state } = await createBareRepository(t)
  const old = await state()
  const lists = await Promise.all(Array.from({ length: 20 }, () => freshness.refs(APP, old)))
  lists.push(await freshness.refs(APP, old))
  t.equal(lists[0]?.ids.size, 1)
  for (const list of lists) t.equal(list, lists[0])
  run('update-ref', 'refs/heads/more', two)
  const now = await state()
  t.equal((await freshness.refs(APP, now))?.ids.size, 2)
  t.equal(await freshness.refs(APP, old), undefined, 'a former state has none')
})

t.test('a deleted repository has no refs', async (t) => {
  const { folder, freshness, state } = await createBareRepository(t)
  const old = await state()
  await folder.remove(APP)
  t.equal(await freshness.refs(APP, old), undefined)
})

t.test('an empty repository has a state and no refs', async (t) => {
  const { run, freshness, state } = await createBareRepository(t)
  run('update-ref', '-d', 'refs/heads/main')
  t.equal((await freshness.refs(APP, await state()))?.ids.size, 0)
})

t.test('a list of 20,000 refs, more than a mebibyte, is complete', async (t) => {
  const { where, one, freshness, state } = await createBareRepository(t)
  const lines = Array.from({ length: 20_000 }, (_, index) => `${one} refs/changes/${index}\n`).sort()
  writeFileSync(join(where, 'packed-refs'), `# pack-refs with: sorted \n${lines.join('')}`)
  t.equal((await freshness.refs(APP, await state()))?.ids.size, 20_001)
})

t.test('the embedded backend reports it', async (t) => {
  const { git, folder, where, run, two } = await createBareRepository(t)
  const options = { git, folder, emptyRepository: join(where, 'empty.git') }
  const { freshness } = await embeddedGit({ ...options, receiveMaxInputSize: () => Promise.resolve(null) })
  const old = await freshness?.state(APP)
  t.type(old?.fingerprint, 'string')
  run('update-ref', 'refs/heads/main', two)
  t.not((await freshness?.state(APP))?.fingerprint, old?.fingerprint)
})

function writeRefs(where: string, id: string, count: number): void {
  for (let index = 0; index < count; index++) {
    const folder = join(where, 'refs/heads', String(Math.floor(index / 10)).padStart(2, '0'))
    if (index % 10 === 0) mkdirSync(folder)
    writeFileSync(join(folder, String(index)), `${id}\n`)
  }
}
