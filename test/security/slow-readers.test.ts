// Attack: two accounts ask for packs and do not read them (or push, and send nothing), so that they hold all slots for hours.
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import { DEFAULT_INTERVALS } from '../../src/core/intervals.js'
import type { Backend, BackendRequest, ServeOutcome, TransferProgress } from '../../src/protocol/backend.js'
import type { RepositoryPath } from '../../src/protocol/repository-path.js'
import { createLimiters, limitedBackend } from '../../src/git/admission/limited-backend.js'
import { beginFetch, largeCommit } from '../acceptance/transfers.js'
import { until } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'

const SLOW_MS = 60
const STALLED = (): TransferProgress => ({ bytes: 70_000, waitsForClient: true })

/** A request class of some slots, and a backend that works until it is let go, or until its request is aborted. */
function limitedTo(t: Test, slots: number) {
  const leaving = new AbortController()
  t.teardown(() => leaving.abort())
  const limiters = createLimiters(slots, slots, 100)
  const atWork = new Map<string, () => void>()
  const aborted: string[] = []
  const backend = {
    async uploadPack({ clientAddress: name, signal }: BackendRequest): Promise<ServeOutcome> {
      const isDone = new Promise((resolve) => atWork.set(name, () => resolve(undefined)))
      await Promise.race([isDone, once(signal, 'abort').then(() => aborted.push(name))])
      atWork.delete(name)
      return { kind: 'answered' }
    },
  } as unknown as Backend
  const limited = limitedBackend(backend, limiters, { ...DEFAULT_INTERVALS, slowTransferMs: SLOW_MS })
  const ask = (name: string, account: string, progress: () => TransferProgress = STALLED) => {
    const request = {
      repository: 'team/app' as RepositoryPath,
      slotRequest: { account, isSmall: false },
      signal: leaving.signal,
      clientAddress: name,
    }
    const response = { begin: () => new PassThrough(), onQueued: () => undefined, progress }
    return limited.uploadPack(request as BackendRequest, response)
  }
  return { ask, atWork, aborted, counts: () => limiters.packs.counts }
}

t.test('who does not read gives the slot to others that wait, and goes on', async (t) => {
  const { ask, atWork, aborted, counts } = limitedTo(t, 4)
  const slow = ['a1', 'a2', 'b1', 'b2'].map((name) => ask(name, name.charAt(0)))
  const others = ['c1', 'd1'].map((name) => ask(name, name.charAt(0)))
  await until(() => atWork.has('c1') && atWork.has('d1'))
  t.equal(atWork.size, 6)
  t.strictSame(aborted, [])
  for (const letGo of atWork.values()) letGo()
  await Promise.all([...slow, ...others])
  t.strictSame(counts(), { running: 0, waiting: 0 })
})

/** Waits as long as a slow transfer may take several times over. */
async function slowTimePasses(t: Test): Promise<void> {
  const { ask, atWork } = limitedTo(t, 2)
  void ask('slow', 'a')
  void ask('other', 'a')
  await until(() => atWork.has('other'))
  for (const letGo of atWork.values()) letGo()
}

t.test('who reads fast enough, whoever git works for, and all while nobody waits, keep their slots', async (t) => {
  const started = performance.now()
  const fast = () => ({ bytes: (performance.now() - started) * 64, waitsForClient: true })
  const { ask, atWork } = limitedTo(t, 4)
  void ask('at 64 kB/s', 'a', fast)
  void ask('git works', 'a', () => ({ bytes: 0, waitsForClient: false }))
  void ask('git works, too', 'b', () => ({ bytes: 0, waitsForClient: false }))
  void ask('fast, too', 'b', fast)
  void ask('waits', 'c')
  await slowTimePasses(t)
  t.notOk(atWork.has('waits'))
  const idle = limitedTo(t, 4)
  void idle.ask('slow', 'a')
  await slowTimePasses(t)
  t.strictSame(idle.counts(), { running: 1, waiting: 0 })
})

t.test('paused transfers do not pile up: who has most of them loses the oldest', async (t) => {
  const { ask, atWork, aborted } = limitedTo(t, 2)
  for (let index = 0; index < 20; index += 1) void ask(`a${index}`, 'a')
  void ask('b0', 'b')
  await until(() => aborted.length >= 3)
  t.strictSame(aborted.slice(0, 3), ['a0', 'a1', 'a2'])
  t.ok(atWork.has('b0'))
})

t.test('a clone is served while an account reads nothing of what it asked for', async (t) => {
  const world = await createWorld(t, { gitRuns: '2', cache: 'off' }, undefined, { intervals: { slowTransferMs: 200 } })
  await world.grant('alice', 'write', 'team/**')
  for (const other of ['mallory', 'root'] as const) await world.grant(other, 'read', 'team/**')
  await world.createRepository('team/app')
  const large = await largeCommit(world.git, 'large', 24)
  await world.git.run(
    ['push', '-q', world.remote('team/app', await world.token('alice', 'write_repository')), 'main'],
    {
      cwd: large.folder,
    },
  )
  const password = await world.token('mallory', 'read_repository')
  const stalled = await beginFetch({ url: world.url, path: 'team/app', password }, large.oid)
  const idle = await beginFetch(
    { url: world.url, path: 'team/app', password: await world.token('alice', 'read_repository') },
    large.oid,
  )
  const third = await world.git.clone(world.remote('team/app', await world.token('root', 'read_repository')), 'third')
  t.ok(third)
  idle.call.destroy()
  // What was paused is whole when it is read after all.
  let length = 0
  stalled.answer.on('data', (piece: Buffer) => (length += piece.length))
  await once(stalled.answer, 'end')
  t.ok(length > 24 * 1_048_576)
})
