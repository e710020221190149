// Changes within one tick of the clock leave no mark, so a state is told only when its stamps have come of age.
import { writeFileSync, utimesSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { Settling } from '../../../src/git/embedded/settling.js'
import { settling } from '../../../src/git/embedded/settling.js'
import { APP, createBareRepository } from './bare-repository.js'

t.test('of 200 changes in place, each made as soon as the state was told, none is missed', async (t) => {
  const { where, one, two, state } = await createBareRepository(t)
  const file = join(where, 'refs/heads/main')
  let missed = 0
  let last = (await state()).fingerprint
  for (let change = 0; change < 200; change++) {
    // Twice, so that a state taken between them would have the stamps of the second.
    writeFileSync(file, `${change % 2 === 0 ? one : two}\n`, { flag: 'r+' })
    utimesSync(file, 1, 1)
    const asked = state()
    if (change % 3 === 0) await nextTurn()
    writeFileSync(file, `${change % 2 === 0 ? two : one}\n`, { flag: 'r+' })
    utimesSync(file, 1, 1)
    const { fingerprint } = await asked
    if (fingerprint === last) missed++
    last = fingerprint
  }
  t.equal(missed, 0)
})

t.test(
  'what is read between two equal fingerprints is always the same, while another writes without a pause',
  async (t) => {
    const { where, one, two, freshness } = await createBareRepository(t)
    const file = join(where, 'refs/heads/main')
    const contents = new Map<string, string>()
    let kept = 0
    let wrong = 0
    const over = new AbortController()
    const writing = (async () => {
      for (let change = 0; !over.signal.aborted; change++) {
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
    over.abort()
    await writing
    t.equal(wrong, 0)
    t.ok(kept > 10 && contents.size > 10, `${kept} kept of ${contents.size} states`)
  },
)

t.test('a state is waited for, but not while the repository changes all the time', async (t) => {
  const { where, one, freshness } = await createBareRepository(t)
  const write = () => writeFileSync(join(where, 'refs/heads/main'), `${one}\n`)
  write()
  t.type(await freshness.state(APP), 'object')
  const writing = setInterval(write, 3)
  write()
  const began = Date.now()
  const told = await freshness.state(APP)
  clearInterval(writing)
  t.equal(told, undefined)
  t.ok(Date.now() - began < 2_000)
})

t.test('a stamp is old enough after 20 ms, or after 2.1 s where it has whole seconds', async (t) => {
  const readAt = 1_700_000_000_000
  const after = (age: number, inWholeSeconds: boolean) =>
    settling({ newest: BigInt(readAt - age) * 1_000_000n, inWholeSeconds, readAt })
  const told: readonly (readonly [number, boolean, Settling])[] = [
    [60_000, false, { kind: 'settled' }],
    [20, false, { kind: 'settled' }],
    [19, false, { kind: 'soon', milliseconds: 1 }],
    [0, false, { kind: 'soon', milliseconds: 20 }],
    [-20, false, { kind: 'soon', milliseconds: 40 }],
    [-21, false, { kind: 'unsettled' }],
    [-3_600_000, false, { kind: 'unsettled' }],
    [2_100, true, { kind: 'settled' }],
    [2_099, true, { kind: 'unsettled' }],
    [20, true, { kind: 'unsettled' }],
  ]
  for (const [age, inWholeSeconds, expected] of told)
    t.strictSame(after(age, inWholeSeconds), expected, `${age} ms, ${inWholeSeconds ? 'whole seconds' : 'fine'}`)
})
