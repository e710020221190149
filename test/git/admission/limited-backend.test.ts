// A request that several clients wait for takes the first slot that any of them gets.
import { PassThrough } from 'node:stream'
import t from 'tap'
import { DEFAULT_INTERVALS } from '../../../src/core/intervals.js'
import type {
  Backend,
  BackendRequest,
  ResponseWriter,
  ServeOutcome,
  SlotRequest,
} from '../../../src/protocol/backend.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import { createLimiters, limitedBackend } from '../../../src/git/admission/limited-backend.js'

const RESPONSE: ResponseWriter = {
  begin: () => new PassThrough(),
  onQueued: () => undefined,
  progress: () => ({ bytes: 0, waitsForClient: false }),
}

/** A backend behind a queue of two runs, of which an account may have one, that works until it is let go. */
function narrow(waiting = 10) {
  const limiters = createLimiters(2, 2, waiting)
  const atWork = new Map<string, () => void>()
  const backend = {
    uploadPack: async ({ clientAddress }: BackendRequest): Promise<ServeOutcome> => {
      await new Promise<void>((resolve) => atWork.set(clientAddress, resolve))
      atWork.delete(clientAddress)
      return { kind: 'answered' }
    },
  } as unknown as Backend
  const limited = limitedBackend(backend, limiters, DEFAULT_INTERVALS)
  /** Asks, under a name; others may come to wait for it. */
  const ask = (name: string, of: string, signal = new AbortController().signal) => {
    let join: (account: string) => void = () => undefined
    const slotRequest: SlotRequest = { account: of, isSmall: false, onJoin: (listener) => (join = listener) }
    const request = { repository: 'team/app' as RepositoryPath, slotRequest, signal, clientAddress: name }
    return {
      outcome: limited.uploadPack(request as BackendRequest, RESPONSE),
      join: (account: string) => join(account),
    }
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { ask, settled, counts: () => limiters.packs.counts, atWork }
}

t.test(
  'a run that somebody else comes to wait for does not wait for the slot of an account that has too many',
  async (t) => {
    const { ask, settled, counts, atWork } = narrow()
    const first = ask('first', 'alice')
    const second = ask('second', 'alice')
    await settled()
    t.strictSame([...atWork.keys()], ['first'])
    second.join('alice')
    await settled()
    t.strictSame(counts(), { running: 1, waiting: 1 })
    second.join('bob')
    await settled()
    t.strictSame([...atWork.keys()], ['first', 'second'], 'it has bob’s slot')
    t.strictSame(counts(), { running: 2, waiting: 0 }, 'and alice’s place is free')
    second.join('carol')
    const third = ask('third', 'bob')
    atWork.get('first')?.()
    await first.outcome
    await settled()
    t.strictSame([...atWork.keys()], ['second'], 'it counts as bob’s')
    atWork.get('second')?.()
    t.match(await second.outcome, { kind: 'answered' })
    await settled()
    atWork.get('third')?.()
    await third.outcome
    t.strictSame(counts(), { running: 0, waiting: 0 })
  },
)

t.test('of those who wait for a run one may be refused, and all may leave', async (t) => {
  const { ask, settled, counts, atWork } = narrow(1)
  const first = ask('first', 'alice')
  const leaving = new AbortController()
  const second = ask('second', 'alice', leaving.signal)
  await settled()
  second.join('alice')
  t.match(await ask('third', 'alice').outcome, { kind: 'failed', fault: 'overloaded' })
  leaving.abort()
  t.match(await second.outcome, { kind: 'broken' })
  second.join('bob')
  await settled()
  t.strictSame(counts(), { running: 1, waiting: 0 })
  atWork.get('first')?.()
  await first.outcome
  t.strictSame(counts(), { running: 0, waiting: 0 })
})
