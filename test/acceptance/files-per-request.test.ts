// A newcomer should be able to follow a request in one sitting: this counts the files under src that each kind runs through.
import { Session } from 'node:inspector/promises'
import type { Test } from 'tap'
import t from 'tap'
import { AuditRecorder } from '../../src/domain/audit/recorder.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { newToken } from '../storage/new-token.js'
import { FormClient } from '../pages/form-client.js'
import { createNotificationWorld } from './notification-world.js'
import { until } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

/** The most files that each may run through. A bound is only ever lowered. */
const MOST = {
  'advertisement, cache miss': 43,
  'advertisement, cache hit': 36,
  'upload-pack, cache miss': 48,
  'upload-pack, cache hit': 40,
  'push with a ref rule': 58,
  'token creation by the API': 40,
  'token creation by the page': 45,
  'audit event': 9,
  notification: 7,
} as const

/** What a gate does least often by itself: once a second. */
const RAREST = 'src/git/cache/status-file.ts'
const PASSWORD = 'correct horse battery'
const TOKENS = '/-/user_settings/personal_access_tokens'
const ZERO_ID = '0'.repeat(40)
const EMPTY_PACK = Buffer.from('5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex')

const packet = (data: string): string => (data.length + 4).toString(16).padStart(4, '0') + data

/** Counts the files whose functions ran, by V8's precise coverage. */
class FileCounter {
  readonly #session = new Session()
  #idle: ReadonlySet<string> = new Set()

  static async start(t: Test): Promise<FileCounter> {
    const counter = new FileCounter()
    counter.#session.connect()
    t.teardown(() => counter.#session.disconnect())
    await counter.#session.post('Profiler.enable')
    await counter.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    return counter
  }

  /** Notes what runs by itself: it is not counted. */
  async idle(): Promise<void> {
    await this.#wait()
    // What ran until now may belong to the work before.
    this.#idle = await this.#wait()
  }

  async #wait(): Promise<ReadonlySet<string>> {
    const ran = new Set<string>()
    await this.#take()
    await until(async () => {
      for (const file of await this.#take()) ran.add(file)
      return ran.has(RAREST)
    })
    return ran
  }

  /** The files that ran while something was done, and not by themselves. */
  async count(work: () => Promise<unknown>): Promise<readonly string[]> {
    const files = await this.#files(work)
    return [...files].filter((file) => !this.#idle.has(file)).sort()
  }

  async #files(work: () => Promise<unknown>): Promise<ReadonlySet<string>> {
    await this.#take()
    await work()
    return await this.#take()
  }

  /** The files of which a function has run since the last call. */
  async #take(): Promise<ReadonlySet<string>> {
    // The types of node:inspector/promises lack the results.
    const { result } = await this.#session.post('Profiler.takePreciseCoverage')
    const ran = result.filter(({ functions }) => functions.some(({ ranges }) => ranges.some(({ count }) => count > 0)))
    return new Set(ran.flatMap(({ url }) => /\/build\/(src\/.*)\.js$/.exec(url)?.[1] ?? []).map((file) => `${file}.ts`))
  }
}

/** Waits until the gate has logged a request, too: it is over then. */
async function logged(world: World, work: () => Promise<unknown>): Promise<void> {
  const { length } = world.log
  await work()
  await until(() => world.log.slice(length).includes('"request'))
}

/** Compares a list with its bound, and prints it. */
function check(t: Test, name: keyof typeof MOST, files: readonly string[]): void {
  t.comment([`${name}: ${files.length} files`, ...files].join('\n  '))
  t.ok(files.length > 0 && files.length <= MOST[name], `${name}: ${files.length} files, at most ${MOST[name]}`)
}

/** A gate that writes no audit events in batches, and runs no jobs. */
async function createQuietWorld(t: Test): Promise<{ world: World; counter: FileCounter }> {
  const world = await createWorld(t, {}, undefined, { intervals: { flushMs: 600_000, jobPollMs: 600_000 } })
  await world.grant('alice', 'write', 'team/**')
  const counter = await FileCounter.start(t)
  return { world, counter }
}

t.test('a fetch', async (t) => {
  const { world, counter } = await createQuietWorld(t)
  const password = await world.token('alice', 'read_repository')
  const advertise = async (path: string) => {
    const headers = { 'Git-Protocol': 'version=0' }
    const { status, body } = await world.http(`/${path}.git/info/refs?service=git-upload-pack`, { password, headers })
    t.equal(status, 200)
    return /([0-9a-f]{40}) HEAD/.exec(body)?.[1]
  }
  const uploadPack = async (path: string, id: string | undefined) => {
    const { status, body } = await world.http(`/${path}.git/git-upload-pack`, {
      method: 'POST',
      password,
      headers: { 'Content-Type': 'application/x-git-upload-pack-request' },
      body: `${packet(`want ${id} side-band-64k no-progress\n`)}0000${packet('done\n')}`,
    })
    t.equal(status, 200)
    t.match(body, 'PACK')
  }
  // What is done for the first request alone is not counted.
  await world.seedRepository('team/warm')
  await uploadPack('team/warm', await advertise('team/warm'))
  await counter.idle()
  await world.seedRepository('team/app')
  check(t, 'advertisement, cache miss', await counter.count(() => logged(world, () => advertise('team/app'))))
  check(t, 'advertisement, cache hit', await counter.count(() => logged(world, () => advertise('team/app'))))
  const id = await advertise('team/app')
  check(t, 'upload-pack, cache miss', await counter.count(() => logged(world, () => uploadPack('team/app', id))))
  check(t, 'upload-pack, cache hit', await counter.count(() => logged(world, () => uploadPack('team/app', id))))
  t.match(world.log, /"cache":"hit"/)
})

t.test('a push', async (t) => {
  const { world, counter } = await createQuietWorld(t)
  const restrictions = parseRestrictions([], ['agent/*:create'])
  const { secret } = await world.issue('alice', ['write_repository'], { name: 'agent', restrictions })
  const push = async (path: string, id: string) => {
    const command = (ref: string, more = '') => packet(`${ZERO_ID} ${id} refs/heads/${ref}${more}`)
    const head = command('agent/1', '\0report-status side-band-64k') + command('other') + '0000'
    const { status, body } = await world.http(`/${path}.git/git-receive-pack`, {
      method: 'POST',
      password: secret.reveal(),
      headers: { 'Content-Type': 'application/x-git-receive-pack-request' },
      body: Buffer.concat([Buffer.from(head), EMPTY_PACK]),
    })
    t.equal(status, 200)
    t.match(body, 'ok refs/heads/agent/1')
    t.match(body, 'ng refs/heads/other token "agent" can only push to refs/heads/agent/*')
  }
  const seed = async (path: string) =>
    await world.git.ask(['-c', 'safe.directory=*', '--git-dir', await world.seedRepository(path), 'rev-parse', 'main'])
  await push('team/warm', await seed('team/warm'))
  await counter.idle()
  const id = await seed('team/app')
  check(t, 'push with a ref rule', await counter.count(() => logged(world, () => push('team/app', id))))
})

t.test('a token, by API and page', async (t) => {
  const { world, counter } = await createQuietWorld(t)
  const { id } = await world.account('alice')
  const token = await world.token('root', 'api')
  const byApi = async (name: string) => {
    const { status } = await world.http(`/api/v4/users/${id}/personal_access_tokens`, {
      method: 'POST',
      headers: { 'PRIVATE-TOKEN': token, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name, scopes: ['read_repository'] }),
    })
    t.equal(status, 201)
  }
  await byApi('warm')
  await counter.idle()
  check(t, 'token creation by the API', await counter.count(() => logged(world, () => byApi('ci'))))

  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  const byPage = async (name: string) => {
    const csrf_token = await alice.csrfToken(`${TOKENS}/new`)
    const fields = { csrf_token, name, scopes: 'read_repository', expiry: '30d' }
    return await counter.count(() => logged(world, async () => t.equal((await alice.send(TOKENS, fields)).status, 303)))
  }
  await byPage('warm')
  await counter.idle()
  check(t, 'token creation by the page', await byPage('ci'))
})

t.test('an audit event', async (t) => {
  const { world, counter } = await createQuietWorld(t)
  await world.token('alice', 'api')
  const [event] = await world.store.audit.list({ limit: 1 })
  const recorder = new AuditRecorder(world.store.audit, (error) => t.fail(String(error)), 600_000)
  const write = async () => {
    recorder.note(event!)
    await recorder.flush()
  }
  await write()
  await counter.idle()
  check(t, 'audit event', await counter.count(write))
})

t.test('a notification', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const counter = await FileCounter.start(t)
  const without = { username: 'bot', name: 'Bot', email: null, admin: false, passwordHash: null }
  const { id: bot } = await world.store.accounts.add(GATE_CONTEXT, without, world.now)
  const { id: alice } = await world.account('alice')
  const add = async (owner: number, name: string) =>
    await world.store.tokens.add(GATE_CONTEXT, newToken(owner, { name, createdAt: world.now }))
  const notify = async (name: string) => {
    await add(alice, name)
    await server.waitFor(name)
  }
  await notify('warm')
  await counter.idle()
  // The change itself, for an account that nobody can notify.
  const change = await counter.count(() => add(bot, 'quiet'))
  const files = await counter.count(() => notify('ci'))
  check(
    t,
    'notification',
    files.filter((file) => !change.includes(file)),
  )
})
