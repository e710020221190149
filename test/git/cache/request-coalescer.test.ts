import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { CoalescedRequest } from '../../../src/git/cache/request-coalescer.js'
import { RequestCoalescer } from '../../../src/git/cache/request-coalescer.js'

const LONG = 60_000
const never = (): AbortSignal => new AbortController().signal

t.test('requests that come while one is in progress wait and share the next', async (t) => {
  const coalescer = new RequestCoalescer(LONG)
  const first = await coalescer.join('refs', never())
  t.equal(first?.sharedKey, undefined)
  const others = [1, 2, 3].map(() => coalescer.join('refs', never()))
  const elsewhere = await coalescer.join('other refs', never())
  t.equal(elsewhere?.sharedKey, undefined, 'other keys wait for nobody')
  first?.end()
  const parts = await Promise.all(others)
  t.type(parts[0]?.sharedKey, 'string')
  t.equal(new Set(parts.map((part) => part?.sharedKey)).size, 1)
  const later = coalescer.join('refs', never())
  first?.end()
  t.equal(await Promise.race([later, turn('waits')]), 'waits', 'only the first call of end counts')
  parts[0]?.end()
  parts[1]?.end()
  const last = await later
  t.equal(last?.sharedKey, undefined, 'a request alone shares with nobody')
  last?.end()
  t.not((await coalescer.join('refs', never()))?.sharedKey, parts[0]?.sharedKey)
})

t.test('a request that was aborted is not waited for', async (t) => {
  const coalescer = new RequestCoalescer(LONG)
  const first = await coalescer.join('refs', never())
  const leaving = new AbortController()
  const left = [1, 2].map(() => coalescer.join('refs', leaving.signal))
  leaving.abort()
  t.strictSame(await Promise.all(left), [undefined, undefined])
  t.equal(await coalescer.join('refs', leaving.signal), undefined)
  first?.end()
  t.ok(await coalescer.join('refs', never()), 'the next one may proceed')
})

t.test('a response that does not come delays others only for the timeout', async (t) => {
  const coalescer = new RequestCoalescer(20)
  const hung = await coalescer.join('refs', never())
  const others = await Promise.all([1, 2].map(() => coalescer.join('refs', never())))
  t.type(others[0]?.sharedKey, 'string')
  hung?.end()
  others[0]?.end()
  await turn()
  t.equal((await coalescer.join('refs', never()))?.sharedKey, undefined)
})

t.test('no request gets a response older than itself, and all get one', async (t) => {
  const steps = fc.array(fc.oneof(fc.constant('come'), fc.nat(9)), { maxLength: 40 })
  const property = fc.asyncProperty(steps, async (steps) => {
    const coalescer = new RequestCoalescer(LONG)
    let time = 0
    const begun = new Map<CoalescedRequest['end'], number>()
    const running: CoalescedRequest[] = []
    const come = async (): Promise<boolean> => {
      const startedAt = (time += 1)
      const part = await coalescer.join('refs', never())
      if (part === undefined) return false
      if (!begun.has(part.end)) {
        begun.set(part.end, (time += 1))
        running.push(part)
      }
      return (begun.get(part.end) ?? 0) > startedAt
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
