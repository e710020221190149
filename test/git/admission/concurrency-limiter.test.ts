import fc from 'fast-check'
import t from 'tap'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import type { ConcurrencyLimits, SlotResult } from '../../../src/git/admission/concurrency-limiter.js'
import { ConcurrencyLimiter } from '../../../src/git/admission/concurrency-limiter.js'

const APP = 'team/app' as RepositoryPath
const WEB = 'team/web' as RepositoryPath
const LIMITS: ConcurrencyLimits = { total: 2, perRepository: 2, perAccount: 2, waiting: 10 }

/** Asks for slots and records in which order they are granted. */
function asking(limits: Partial<ConcurrencyLimits>) {
  const queue = new ConcurrencyLimiter({ ...LIMITS, ...limits })
  const got: string[] = []
  const ends = new Map<string, () => void>()
  const ask = async (
    name: string,
    account = name,
    repository = APP,
    signal = new AbortController().signal,
  ): Promise<SlotResult> => {
    const slot = await queue.acquire(repository, account, signal)
    if (slot.kind === 'slot') {
      got.push(name)
      ends.set(name, slot.release)
    }
    return slot
  }
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { queue, ask, end, got }
}

t.test('requests beyond the limit wait for a slot', async (t) => {
  const { queue, ask, end, got } = asking({})
  await Promise.all([ask('a'), ask('b')])
  void ask('c')
  void ask('d')
  t.strictSame(queue.counts, { running: 2, waiting: 2 })
  t.strictSame(got, ['a', 'b'])
  await end('b')
  await end('b')
  t.strictSame(got, ['a', 'b', 'c'], 'a slot is released once')
  await end('a')
  t.strictSame(got, ['a', 'b', 'c', 'd'])
  await end('c')
  await end('d')
  t.strictSame(queue.counts, { running: 0, waiting: 0 })
})

t.test('slots go to accounts in rotation: few requests do not wait for many', async (t) => {
  const { ask, end, got } = asking({ total: 1 })
  await ask('m1', 'mallory')
  for (const name of ['m2', 'm3', 'm4', 'm5']) void ask(name, 'mallory')
  void ask('a1', 'alice')
  void ask('b1', 'bob')
  for (let count = 0; count < 6; count += 1) await end(got.at(-1)!)
  t.strictSame(got, ['m1', 'm2', 'a1', 'b1', 'm3', 'm4', 'm5'])
})

t.test('a repository that is busy holds up no other, and an account can’t have all slots', async (t) => {
  const { ask, got } = asking({ total: 4, perRepository: 1, perAccount: 2 })
  await ask('app 1', 'alice')
  void ask('app 2', 'bob')
  await ask('web 1', 'bob', WEB)
  t.strictSame(got, ['app 1', 'web 1'])
  void ask('web 2', 'carol', WEB)
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(got, ['app 1', 'web 1'])
  const greedy = asking({ total: 4, perRepository: 4, perAccount: 2 })
  for (const name of ['1', '2', '3', '4']) void greedy.ask(name, 'mallory')
  await greedy.ask('a', 'alice')
  t.strictSame(greedy.got, ['1', '2', 'a'])
})

t.test('a client that left gets no slot, and takes none from others; a full queue refuses', async (t) => {
  const { queue, ask, end, got } = asking({ total: 1, waiting: 2 })
  await ask('a')
  const leaving = new AbortController()
  const left = ask('b', 'b', APP, leaving.signal)
  void ask('c')
  t.strictSame(await ask('d'), { kind: 'overloaded' })
  leaving.abort()
  t.strictSame(await left, { kind: 'left' })
  t.strictSame(await ask('e', 'e', APP, AbortSignal.abort()), { kind: 'left' })
  await end('a')
  t.strictSame(got, ['a', 'c'])
  t.strictSame(queue.counts, { running: 1, waiting: 0 })
})

t.test('an account that fills the queue keeps nobody out: neither from a free slot, nor from the queue', async (t) => {
  const { queue, ask, end, got } = asking({ total: 2, perAccount: 1, waiting: 2 })
  await ask('m1', 'mallory')
  const [m2, m3] = [ask('m2', 'mallory'), ask('m3', 'mallory')]
  t.strictSame(await ask('m4', 'mallory'), { kind: 'overloaded' })
  await ask('b1', 'bob')
  t.strictSame(got, ['m1', 'b1'], 'a slot is free')
  void ask('a1', 'alice')
  t.strictSame(await m3, { kind: 'overloaded' }, 'the last that came of who has most')
  t.strictSame(await ask('c1', 'carol'), { kind: 'overloaded' }, 'nobody has more than another now')
  t.strictSame(queue.counts, { running: 2, waiting: 2 })
  await end('b1')
  t.strictSame(got, ['m1', 'b1', 'a1'])
  await end('m1')
  t.equal((await m2).kind, 'slot')
  t.strictSame(await asking({ total: 0, waiting: 0 }).ask('a'), { kind: 'overloaded' })
})

t.test('whatever comes and goes, no limit is passed, and all that wait get a slot in the end', async () => {
  const request = fc.record({
    account: fc.constantFrom('alice', 'bob', 'carol'),
    repository: fc.constantFrom(APP, WEB),
    leaves: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 30 }), async (requests) => {
      const limits = { total: 3, perRepository: 2, perAccount: 2, waiting: 100 }
      const queue = new ConcurrencyLimiter(limits)
      const running: { account: string; repository: string; end: () => void }[] = []
      const pending = requests.map(async ({ account, repository, leaves }) => {
        const leaving = new AbortController()
        const entering = queue.acquire(repository, account, leaving.signal)
        if (leaves) leaving.abort()
        const slot = await entering
        if (slot.kind === 'slot') running.push({ account, repository, end: slot.release })
      })
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve))
        const of = (key: 'account' | 'repository', value: string) => running.filter((one) => one[key] === value).length
        const isPassed =
          running.length > limits.total ||
          [APP, WEB].some((one) => of('repository', one) > limits.perRepository) ||
          ['alice', 'bob', 'carol'].some((one) => of('account', one) > limits.perAccount)
        if (isPassed) throw new Error('a limit was passed')
        const first = running.shift()
        if (first === undefined) break
        first.end()
      }
      await Promise.all(pending)
      const { waiting, running: left } = queue.counts
      if (waiting + left > 0) throw new Error('somebody still waits')
    }),
  )
})
