// A worker asks the one that owns a repository's cache, and gets what its client would get there.
import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import t from 'tap'
import { answerWorkers, askingShardOwners } from '../../src/cluster/shard-owner.js'
import type {
  Backend,
  BackendMethod,
  BackendRequest,
  QueueCounts,
  ResponseHead,
  ServeOutcome,
} from '../../src/protocol/backend.js'
import type { RepositoryPath } from '../../src/protocol/repository-path.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { until } from '../acceptance/until.js'

// Worker 1 of 2 owns this one.
const REPOSITORY = 'team/c' as RepositoryPath

/** Worker 0, which asks, and worker 1, which responds with `owner`. */
async function startWorkers(t: Test, owner: BackendMethod) {
  const info = { count: 2, folder: temporaryFolder(t), pseudonym: 'gitgate' }
  const stop = await answerWorkers({ uploadPack: owner } as Backend, { ...info, index: 1 })
  const asksItself: BackendMethod = async ({ body }, response) => {
    response.begin().write(`own response to ${await text(body)}`)
    return { kind: 'answered' }
  }
  const asking = askingShardOwners({ uploadPack: asksItself } as Backend, { ...info, index: 0 })
  const client = new AbortController()
  const heads: ResponseHead[] = []
  const queues: QueueCounts[] = []
  const ask = async (body = 'want', more: Partial<BackendRequest> = {}, output: Writable = new PassThrough()) => {
    const request = {
      ...{ repository: REPOSITORY, service: 'git-upload-pack', phase: 'rpc', isShared: true, requester: undefined },
      ...{ slotRequest: { account: 'alice', isSmall: true }, clientAddress: '192.0.2.7', gitProtocol: 'version=2' },
      ...{ preferences: { userAgent: 'git/2.47 ñ' }, signal: client.signal, body: Readable.from([Buffer.from(body)]) },
      ...more,
    }
    const begin = (head: ResponseHead = {}): Writable => {
      heads.push(head)
      return output
    }
    const progress = () => ({ bytes: 0, waitsForClient: false })
    const response = { begin, onQueued: (queue: QueueCounts) => void queues.push(queue), progress }
    const outcome = await asking.uploadPack(request as unknown as BackendRequest, response)
    output.end()
    return outcome
  }
  return { ask, client, heads, queues, info, stop }
}

t.test('request, queue lengths, head, bytes and outcome pass between workers', async (t) => {
  let seen: BackendRequest | undefined
  const { ask, heads, queues, stop } = await startWorkers(t, async (request, response) => {
    seen = request
    response.onQueued({ running: 16, waiting: 4 })
    response.onQueued({ running: 16, waiting: 3 })
    const output = response.begin({ contentLength: 12, cacheControl: 'no-cache' })
    output.write(`pack of ${await text(request.body)}`)
    return { kind: 'answered', cache: 'miss', failure: 'git said: größer →\n' }
  })
  const output = new PassThrough()
  t.strictSame(await ask('want', {}, output), { kind: 'answered', cache: 'miss', failure: 'git said: größer →\n' })
  t.equal(await text(output), 'pack of want')
  t.strictSame(heads, [{ contentLength: 12, cacheControl: 'no-cache' }])
  t.strictSame(queues, [
    { running: 16, waiting: 4 },
    { running: 16, waiting: 3 },
  ])
  t.match(seen, {
    repository: REPOSITORY,
    gitProtocol: 'version=2',
    clientAddress: '192.0.2.7',
    preferences: { userAgent: 'git/2.47 ñ' },
    contentLength: 4,
  })
  await stop()
})

t.test('an outcome without a response passes, and one with the longest headers', async (t) => {
  const { ask, heads, stop } = await startWorkers(t, () => Promise.resolve({ kind: 'missing' }))
  t.strictSame(await ask('', { preferences: { userAgent: 'ñ'.repeat(30_000) } }), { kind: 'missing' })
  t.strictSame(heads, [])
  await stop()
})

t.test('if the owner has no socket, the worker responds itself', async (t) => {
  const { ask, stop } = await startWorkers(t, () => Promise.resolve({ kind: 'missing' }))
  await stop()
  const output = new PassThrough()
  t.strictSame(await ask('want', {}, output), { kind: 'answered' })
  t.equal(await text(output), 'own response to want')
})

t.test(
  'if the owner fails before its response, the worker responds itself; after it has begun, it is broken',
  async (t) => {
    let hasBegun = false
    const { ask, stop } = await startWorkers(t, async (_request, response) => {
      if (hasBegun) await new Promise((resolve) => response.begin().write('half', resolve))
      throw new Error('no descriptors')
    })
    t.strictSame(await ask(), { kind: 'answered' })
    hasBegun = true
    t.strictSame(await ask(), { kind: 'broken', reason: 'the worker that answered has exited' })
    await stop()
  },
)

t.test('a client that leaves ends the work of the owner; one that does not read pauses it', async (t) => {
  let written = 0
  let aborted = false
  const { ask, client, stop } = await startWorkers(t, async ({ signal }, response): Promise<ServeOutcome> => {
    signal.addEventListener('abort', () => (aborted = true))
    const output = response.begin()
    while (!signal.aborted && written < 2 ** 30) {
      written += 65_536
      if (!output.write(Buffer.alloc(65_536))) await once(output, 'drain', { signal }).catch(() => undefined)
    }
    return { kind: 'broken', reason: 'the client left' }
  })
  const outcome = ask('want', {}, new Writable({ write: () => undefined }))
  let last = -1
  await until(async () => {
    const isPaused = written > 0 && written === last
    last = written
    await new Promise((resolve) => setTimeout(resolve, 20))
    return isPaused
  })
  t.ok(written < 2 ** 24, `paused after ${written} bytes`)
  t.notOk(aborted)
  client.abort()
  t.strictSame(await outcome, { kind: 'broken', reason: 'the client left' })
  await until(() => aborted)
  await stop()
})

t.test('requests that are not shared, and those of its own repositories, a worker serves itself', async (t) => {
  const { ask, stop } = await startWorkers(t, () => Promise.resolve({ kind: 'missing' }))
  t.strictSame(await ask('want', { isShared: false }), { kind: 'answered' })
  t.strictSame(await ask('want', { repository: 'team/app' as RepositoryPath }), { kind: 'answered' })
  await stop()
})
