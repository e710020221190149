// Several processes on one port, which nobody can tell from one.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { GitClient } from './git-client.js'
import type { GateProcess } from './gitgate-cli.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { cacheBytes } from './cache-world.js'
import { temporaryFolder } from './temporary-folder.js'
import { beginFetch, childrenOf, commandOf, largeCommit, processesIn } from './transfers.js'
import { SLACK, until, within } from './until.js'

// Enough for two requests to each of two workers.
const EACH_OF_TWO = 4
// The kernel decides which worker accepts a connection.
const MAX_CONNECTION_ATTEMPTS = 500

async function served(t: Test, { mebibytes = 1, env = {}, flags = [] as string[] } = {}) {
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const git = new GitClient(cli.folder, 'client')
  const large = await largeCommit(git, 'large', mebibytes)
  const disk = join(cli.folder, 'repos', 'alice', 'app.git')
  await git.run(['push', '-q', disk, 'main'], { cwd: large.folder })
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--workers', '2', ...flags])
  const remote = `${gate.url.replace('//', `//alice:${secret}@`)}/alice/app.git`
  const workers = workersOf(gate)
  const look = async (password: string, times = EACH_OF_TWO): Promise<number[]> => {
    const statuses: number[] = []
    for (let i = 0; i < times; i++) {
      const path = '/alice/app.git/info/refs?service=git-upload-pack'
      const socket = await connectTo(gate, workersOf(gate)[i % 2] ?? 0)
      statuses.push((await http(gate.url, path, { password, headers: { 'Git-Protocol': 'version=2' }, socket })).status)
    }
    return statuses
  }
  return { cli, git, large, secret, gate, remote, disk, workers, look }
}

function workersOf(gate: GateProcess): number[] {
  return childrenOf(gate.child.pid).filter((pid) => /gitgate\.js serve/.test(commandOf(pid)))
}

/** Whether a process has accepted the connection from a local port. */
function hasAccepted(pid: number, gate: GateProcess, clientPort: number): boolean {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
  const [ours, theirs] = [`0100007F:${hex(Number(new URL(gate.url).port))}`, `0100007F:${hex(clientPort)}`]
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  const inode = rows.find((row) => row[1] === ours && row[2] === theirs)?.[9]
  const descriptors = readdirSync(`/proc/${pid}/fd`)
  return inode !== undefined && descriptors.some((name) => targetOf(`/proc/${pid}/fd/${name}`) === `socket:[${inode}]`)
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    // It was closed just now.
    return ''
  }
}

/** Opens connections until the given worker accepts one. */
async function connectTo(gate: GateProcess, worker: number): Promise<Socket> {
  for (let i = 0; i < MAX_CONNECTION_ATTEMPTS; i++) {
    const socket = connect(Number(new URL(gate.url).port), '127.0.0.1')
    await once(socket, 'connect')
    const port = socket.localPort ?? 0
    await until(() => workersOf(gate).some((pid) => hasAccepted(pid, gate, port)))
    if (hasAccepted(worker, gate, port)) return socket
    socket.destroy()
  }
  throw new Error(`worker ${worker} accepts no connection`)
}

/** How exchanges came about, from the log. */
function usesIn({ said }: GateProcess): string[] {
  return said.stderr
    .split('\n')
    .filter((line) => line.includes('"phase":"rpc"'))
    .flatMap((line) => (JSON.parse(line) as { cache?: string }).cache ?? [])
}

t.test('two workers are one gate', async (t) => {
  const { cli, gate, git, large, secret, remote, workers, look } = await served(t, { mebibytes: 16 })
  const place = { url: gate.url, path: 'alice/app', password: secret }
  const newToken = async (name: string) =>
    (await cli.json('token', 'create', 'alice', '--name', name, '--scopes', 'read_repository')) as {
      readonly id: number
      readonly token: string
    }

  await t.test('they listen once, and both serve', async (t) => {
    t.equal(workers.length, 2)
    t.equal(gate.said.stdout.match(/listens on/g)?.length, 1)
    t.ok(await within(1_000, () => gate.said.stderr.includes('"workers":"2"')))
    t.equal(gate.said.stderr.match(/"msg":"listening"/g)?.length, 1)
    t.strictSame(await look(secret), [200, 200, 200, 200])
    t.equal((await http(gate.url, '/-/readiness')).status, 200)
  })

  await t.test('what one has made, the other has: git packs once', async (t) => {
    const earlier = usesIn(gate).length
    const copies = await Promise.all([1, 2, 3, 4].map((i) => git.clone(remote, `at-once-${i}`, '-q', '--bare')))
    for (let i = 0; i < EACH_OF_TWO; i++) copies.push(await git.clone(remote, `after-${i}`, '-q', '--bare'))
    for (const copy of copies) {
      await git.run(['fsck', '--full', '--strict'], { cwd: copy })
      t.equal(await git.ask(['rev-parse', 'HEAD'], { cwd: copy }), large.oid)
    }
    t.ok(await within(1_000, () => usesIn(gate).length === earlier + 2 * copies.length))
    const uses = usesIn(gate).slice(earlier)
    t.equal(uses.filter((use) => use === 'miss').length, 2, `one list of refs, one pack: ${uses.join()}`)
    t.notOk(uses.includes('bypass'))
  })

  await t.test('what is revoked is revoked in both, and its transfers end', async (t) => {
    const { id, token } = await newToken('revoked')
    const begun = await Promise.all([1, 2, 3, 4].map(() => beginFetch({ ...place, password: token }, large.oid)))
    await cli.ask(['token', 'revoke', String(id)])
    t.strictSame(await look(token), [401, 401, 401, 401])
    t.ok(await within(2_000, () => gate.said.stderr.match(/"decision":"revoked"/g)?.length === begun.length))
    for (const { answer } of begun) answer.on('error', () => undefined).destroy()
  })

  await t.test('what is pushed to one is seen through the other', async (t) => {
    for (let i = 0; i < EACH_OF_TWO; i++) {
      const id = await git.commit(large.folder, `file-${i}`, `${i}\n`)
      await git.run(['push', '-q', remote, 'HEAD:main'], { cwd: large.folder })
      t.match(await git.ask(['ls-remote', remote, 'refs/heads/main']), id)
      t.match(await git.ask(['ls-remote', remote, 'refs/heads/main']), id)
    }
  })

  await t.test('a port that is in use is said once', async (t) => {
    const started = performance.now()
    const { status, stderr } = await cli.runProcess(['serve', '--port', new URL(gate.url).port, '--workers', '2'])
    t.equal(status, 1)
    t.match(stderr, /^[^\n]*is in use\. Is gitgate already running\?[^\n]*\n$/)
    t.ok(performance.now() - started < 5_000 * SLACK)
  })

  await t.test('SIGTERM lets the transfers of both finish', async (t) => {
    const begun = await Promise.all([1, 2, 3, 4].map(() => beginFetch(place, large.oid)))
    const stopping = gate.stop()
    const ends = begun.map(async ({ answer }) => {
      answer.resume()
      await once(answer, 'close')
      return answer.complete
    })
    t.strictSame(await Promise.all(ends), [true, true, true, true])
    t.equal(await stopping, 0)
    t.ok(workers.every((pid) => commandOf(pid) === ''))
  })
})

t.test('the limits hold for all workers together', async (t) => {
  const limits = { GITGATE_GIT_RUNS: '1', GITGATE_GIT_RUNS_PER_REPOSITORY: '1' }
  const { git, remote, workers } = await served(t, { mebibytes: 5, env: limits, flags: ['--no-cache'] })
  let most = 0
  // Not their children, which have the same command line until they have become another program.
  const packing = (): number[] =>
    workers
      .flatMap(childrenOf)
      .flatMap(childrenOf)
      .filter((pid) => /upload-pack --strict --stateless-rpc \//.test(commandOf(pid)))
  const timer = setInterval(() => {
    // A process list takes time: only those in two lists ran at the same time, between them.
    const first = packing()
    const second = new Set(packing())
    most = Math.max(most, first.filter((pid) => second.has(pid)).length)
  }, 5)
  t.teardown(() => clearInterval(timer))
  await Promise.all([1, 2, 3, 4, 5, 6].map((i) => git.clone(remote, `copy-${i}`, '-q', '--bare')))
  t.ok(most >= 1)
  t.ok(most <= 2, `${most} at once: a pack, and a list of refs`)
})

t.test('who fails with one worker is banned by both, and a new one knows it', async (t) => {
  const { cli, gate, workers, secret, look } = await served(t)
  await cli.ask(['settings', 'set', 'git_basic_auth_ip_allowlist', '203.0.113.1'])
  await cli.ask(['settings', 'set', 'git_basic_auth_maxretry', '3'])
  t.strictSame(await look('wrong-password', 3), [401, 401, 401])
  t.strictSame(await look(secret), [403, 403, 403, 403])
  process.kill(workers[0] ?? 0, 'SIGKILL')
  t.ok(await within(5_000, () => workersOf(gate).length === 2 && !workersOf(gate).includes(workers[0] ?? 0)))
  t.ok(await within(5_000, () => childrenOf(workersOf(gate).at(-1)).length > 0))
  t.strictSame(await look(secret, 8), [403, 403, 403, 403, 403, 403, 403, 403])
  t.equal(await gate.stop(), 0)
})

t.test('a worker that is killed takes only its own transfers with it, and is replaced', async (t) => {
  const { cli, gate, git, large, secret, remote, workers } = await served(t, { mebibytes: 16 })
  const place = { url: gate.url, path: 'alice/app', password: secret }
  const data = join(cli.folder, 'data')
  const begun: IncomingMessage[] = []
  const isOf = (pid: number, answer: IncomingMessage) => hasAccepted(pid, gate, answer.socket.localPort ?? 0)
  for (let i = 0; i < MAX_CONNECTION_ATTEMPTS; i++) {
    if (i >= EACH_OF_TWO && workers.every((pid) => begun.some((answer) => isOf(pid, answer)))) break
    const { answer } = await beginFetch(place, large.oid)
    answer.on('error', () => undefined)
    t.teardown(() => answer.destroy())
    begun.push(answer)
  }
  const survivors = begun.map((answer) => isOf(workers[0] ?? 0, answer))
  t.ok(survivors.includes(true) && survivors.includes(false), 'both workers serve')
  // Until then all of them depend on the one that runs git.
  const isWhole = (pid: number): boolean => cacheBytes(data, pid) > large.size
  t.ok(await within(5_000, () => workers.every(isWhole)), 'both workers have the pack')
  process.kill(workers[1] ?? 0, 'SIGKILL')
  const ends = begun.map(async (answer) => {
    if (!answer.destroyed) await new Promise((resolve) => answer.on('close', resolve).resume())
    return answer.complete
  })
  const completed = await Promise.all(ends)
  t.strictSame(completed, survivors)
  t.ok(await within(2_000, () => /starting another/.test(gate.said.stderr)))
  t.ok(await within(5_000, () => workersOf(gate).length === 2))
  for (let i = 0; i < EACH_OF_TWO; i++) t.match(await git.ask(['ls-remote', remote]), large.oid)
})

// Fault: with no worker left, nothing kept the primary alive: it exited with status 0 before it had started another.
t.test('workers that are killed at once are replaced', async (t) => {
  const { gate, workers, secret, look } = await served(t)
  for (const pid of workers) process.kill(pid, 'SIGKILL')
  t.ok(await within(5_000, () => workersOf(gate).filter((pid) => !workers.includes(pid)).length === 2))
  const answers = async (): Promise<boolean> =>
    await http(gate.url, '/-/readiness')
      .then(({ status }) => status === 200)
      .catch(() => false)
  t.ok(await within(5_000, answers))
  t.strictSame(await look(secret), [200, 200, 200, 200])
  t.equal(await gate.stop(), 0)
})

t.test('when the first process is killed, nothing of it is left', async (t) => {
  const { gate, workers, disk, cli } = await served(t)
  const all = [...workers, ...workers.flatMap(childrenOf)]
  t.equal(all.length, 4, 'two workers, each with its git spawn helper')
  gate.child.kill('SIGKILL')
  t.ok(await within(2_000, () => all.every((pid) => commandOf(pid) === '') && processesIn(disk).length === 0))
  t.equal((await http((await cli.serveProcess(t)).url, '/-/readiness')).status, 200)
})
