import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { Part } from '../../../src/git/cache/coalescer.js'
import { Gatherings } from '../../../src/git/cache/coalescer.js'

const LONG = 60_000
const never = (): AbortSignal => new AbortController().signal

t.test('while one is being answered, those that come wait and are answered together', async (t) => {
  const gatherings = new Gatherings(LONG)
  const first = await gatherings.join('refs', never())
  t.equal(first?.sharedAs, undefined)
  const others = [1, 2, 3].map(() => gatherings.join('refs', never()))
  const elsewhere = await gatherings.join('other refs', never())
  t.equal(elsewhere?.sharedAs, undefined, 'other keys wait for nobody')
  first?.end()
  const parts = await Promise.all(others)
  t.type(parts[0]?.sharedAs, 'string')
  t.equal(new Set(parts.map((part) => part?.sharedAs)).size, 1)
  const later = gatherings.join('refs', never())
  first?.end()
  t.equal(await Promise.race([later, turn('waits')]), 'waits', 'an end counts once')
  parts[0]?.end()
  parts[1]?.end()
  const last = await later
  t.equal(last?.sharedAs, undefined, 'who is alone shares with nobody')
  last?.end()
  t.not((await gatherings.join('refs', never()))?.sharedAs, parts[0]?.sharedAs)
})

t.test('who leaves is not waited for', async (t) => {
  const gatherings = new Gatherings(LONG)
  const first = await gatherings.join('refs', never())
  const leaving = new AbortController()
  const left = [1, 2].map(() => gatherings.join('refs', leaving.signal))
  leaving.abort()
  t.strictSame(await Promise.all(left), [undefined, undefined])
  t.equal(await gatherings.join('refs', leaving.signal), undefined)
  first?.end()
  t.ok(await gatherings.join('refs', never()), 'the place is free')
})

t.test('an answer that does not come holds up nobody for long', async (t) => {
  const gatherings = new Gatherings(20)
  const hung = await gatherings.join('refs', never())
  const others = await Promise.all([1, 2].map(() => gatherings.join('refs', never())))
  t.type(others[0]?.sharedAs, 'string')
  hung?.end()
  others[0]?.end()
  await pause(0)
  t.equal((await gatherings.join('refs', never()))?.sharedAs, undefined)
})

t.test('none gets an answer that was begun before it asked, and all get one', async (t) => {
  const steps = fc.array(fc.oneof(fc.constant('come'), fc.nat(9)), { maxLength: 40 })
  const property = fc.asyncProperty(steps, async (steps) => {
    const gatherings = new Gatherings(LONG)
    let time = 0
    const begun = new Map<Part['end'], number>()
    const running: Part[] = []
    const come = async (): Promise<boolean> => {
      const asked = (time += 1)
      const part = await gatherings.join('refs', never())
      if (part === undefined) return false
      if (!begun.has(part.end)) {
        begun.set(part.end, (time += 1))
        running.push(part)
      }
      return (begun.get(part.end) ?? 0) > asked
    }
    const asking: Promise<boolean>[] = []
    for (const step of steps) {
      if (typeof step === 'number') running.splice(step % Math.max(running.length, 1), 1)[0]?.end()
      else asking.push(come())
      await turn()
    }
    while (running.length > 0) {
      running.shift()?.end()
      await turn()
    }
    return (await Promise.all(asking)).every(Boolean)
  })
  await fc.assert(property)
  t.pass()
})
