// Changes within one tick of the file system's clock leave no trace, so a state counts only when its timestamps are old enough.
import { writeFileSync, utimesSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { RacyCheck } from '../../../src/git/embedded/repository-state.js'
import { checkRacyTimestamp } from '../../../src/git/embedded/repository-state.js'
import { APP, createBareRepository } from './bare-repository.js'

t.test('of 200 changes in place, each made as soon as the state is known, none is missed', async (t) => {
  const { where, one, two, state } = await createBareRepository(t)
  const file = join(where, 'refs/heads/main')
  let missed = 0
  let last = (await state()).fingerprint
  for (let change = 0; change < 200; change++) {
    // Two writes: a state that was read between them would have the timestamps of the second.
    writeFileSync(file, `${change % 2 === 0 ? one : two}\n`, { flag: 'r+' })
    utimesSync(file, 1, 1)
    const pending = state()
    if (change % 3 === 0) await nextTurn()
    writeFileSync(file, `${change % 2 === 0 ? two : one}\n`, { flag: 'r+' })
    utimesSync(file, 1, 1)
    const { fingerprint } = await pending
    if (fingerprint === last) missed++
    last = fingerprint
  }
  t.equal(missed, 0)
})

t.test('equal fingerprints before and after mean equal contents, while another program keeps writing', async (t) => {
  const { where, one, two, freshness } = await createBareRepository(t)
  const file = join(where, 'refs/heads/main')
  const contents = new Map<string, string>()
  let kept = 0
  let wrong = 0
  const done = new AbortController()
  const writing = (async () => {
    for (let change = 0; !done.signal.aborted; change++) {
      for (let burst = 0; burst < change % 4; burst++) {
        writeFileSync(file, `${(change + burst) % 2 === 0 ? one : two}\n`, { flag: 'r+' })
        utimesSync(file, 1, 1)
      }
      await pause((change * 7) % 60)
    }
  })()
  const end = Date.now() + 5_000
  while (Date.now() < end) {
    const before = await freshness.state(APP)
    const content = readFileSync(file, 'utf8')
    await pause(Math.random() * 10)
    const after = await freshness.state(APP)
    if (before === undefined || before.fingerprint !== after?.fingerprint) continue
    kept++
    if ((contents.get(before.fingerprint) ?? content) !== content) wrong++
    contents.set(before.fingerprint, content)
  }
  done.abort()
  await writing
  t.equal(wrong, 0)
  t.ok(kept > 10 && contents.size > 10, `${kept} kept of ${contents.size} states`)
})

t.test('a repository that changes all the time has no state, and nobody waits for it', async (t) => {
  const { where, one, freshness } = await createBareRepository(t)
  const write = () => writeFileSync(join(where, 'refs/heads/main'), `${one}\n`)
  write()
  t.type(await freshness.state(APP), 'object')
  const writing = setInterval(write, 3)
  write()
  const began = Date.now()
  const found = await freshness.state(APP)
  clearInterval(writing)
  t.equal(found, undefined)
  t.ok(Date.now() - began < 2_000)
})

t.test('a timestamp is stable after 20 ms, or after 2.1 s with whole seconds', async (t) => {
  const readAt = 1_700_000_000_000
  const after = (age: number, hasWholeSeconds: boolean) =>
    checkRacyTimestamp({ ctimeNs: BigInt(readAt - age) * 1_000_000n, hasWholeSeconds, readAt })
  const cases: readonly (readonly [number, boolean, RacyCheck])[] = [
    [60_000, false, { kind: 'stable' }],
    [20, false, { kind: 'stable' }],
    [19, false, { kind: 'stable-soon', waitMs: 1 }],
    [0, false, { kind: 'stable-soon', waitMs: 20 }],
    [-20, false, { kind: 'stable-soon', waitMs: 40 }],
    [-21, false, { kind: 'racy' }],
    [-3_600_000, false, { kind: 'racy' }],
    [2_100, true, { kind: 'stable' }],
    [2_099, true, { kind: 'racy' }],
    [20, true, { kind: 'racy' }],
  ]
  for (const [age, hasWholeSeconds, expected] of cases)
    t.strictSame(after(age, hasWholeSeconds), expected, `${age} ms, ${hasWholeSeconds ? 'whole seconds' : 'fine'}`)
})
