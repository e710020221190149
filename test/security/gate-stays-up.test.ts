import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, openSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import SQLite from 'better-sqlite3'
import t from 'tap'
import { embeddedGit } from '../../src/git/embedded/embedded-backend.js'
import { findGit } from '../../src/git/embedded/git-program.js'
import { RepositoryFolder } from '../../src/git/embedded/repository-folder.js'
import { startDirectly } from '../../src/git/embedded/git-process.js'
import { openStore } from '../../src/storage/open.js'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { beginFetch, largeCommit } from '../acceptance/transfers.js'
import { basic, http, raw } from '../acceptance/http-client.js'
import { SLACK, within } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

// Holes that were found by trying to break the gate, each with the attack.

const PULL = '/alice/app.git/info/refs?service=git-upload-pack'

// Attack: another program opens and closes the database. A gate that holds no lock on it (closing any descriptor of a file
// drops them all) then loses its log of changes, and sees no revocation any more.
t.test('the gate keeps its lock on the database', async (t) => {
  const folder = temporaryFolder(t)
  const stores = [openStore(folder, undefined), openStore(folder, undefined)]
  t.teardown(async () => {
    for (const store of stores) await store.close()
  })
  await stores[0]!.accounts.list()
  const { ino } = statSync(join(folder, 'gitgate.sqlite3'))
  const locks = readFileSync('/proc/locks', 'utf8').split('\n')
  t.ok(
    locks.some((line) => line.includes(` ${process.pid} `) && line.includes(`:${ino} `)),
    'after it was opened twice',
  )
})

// Attack: a restore replaces the database under a running gate, which would go on with the old file.
t.test('a database that was replaced is noticed', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const gate = await cli.serve(t)
  const data = join(cli.folder, 'data')
  renameSync(data, `${data}-away`)
  cpSync(`${data}-away`, data, { recursive: true })
  t.ok(await within(2_000, async () => (await http(gate.url, '/-/readiness')).status === 503))
  t.equal((await http(gate.url, PULL)).status, 500)
  const isLogged = () => gate.said.stderr.includes('was replaced while it was open; restart the gate')
  t.ok(await within(2_000, isLogged), 'the log says so')
})

// Attack: a program that holds the database's write lock would hold up every answer.
t.test('a held write lock holds up nobody', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'api'])
  const gate = await cli.serveProcess(t)
  const other = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
  other.exec('BEGIN IMMEDIATE')
  await http(gate.url, PULL, { password: token })
  let slowest = 0
  for (let i = 0; i < 40; i++) {
    const started = performance.now()
    await http(gate.url, '/-/health')
    slowest = Math.max(slowest, performance.now() - started)
    await new Promise((done) => setTimeout(done, 50))
  }
  t.ok(slowest < 1_000 * SLACK, `the slowest answer took ${Math.round(slowest)} ms`)
  other.exec('COMMIT')
  other.close()
  const lastUse = async () => ((await cli.json('token', 'show', '1')) as { last_used_at: string | null }).last_used_at
  t.ok(await within(5_000, async () => (await lastUse()) !== null), 'and the use is written in the end')
})

// Attack: the disk of the log is full. The gate used to die, or to hang for ever at its end.
t.test('a log that can not be written ends nothing', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
  const full = openSync('/dev/full', 'w')
  const gate = spawn(process.execPath, [program, 'serve', '--port', '0'], {
    cwd: cli.folder,
    env: cli.env,
    stdio: ['ignore', 'pipe', full],
  })
  let said = ''
  gate.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await within(10_000, () => said.includes('listens on'))
  const url = /listens on (\S+)/.exec(said)?.[1] ?? ''
  for (let i = 0; i < 20; i++) t.equal((await http(url, PULL)).status, 401)
  gate.kill('SIGTERM')
  const [status] = (await once(gate, 'close')) as [number]
  t.equal(status, 0)
})

// Attack: SIGTERM while somebody is connected and says nothing, or half a request line.
t.test('silent connections do not hold up the end', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  const gate = await cli.serve(t)
  const { port } = new URL(gate.url)
  for (const bytes of ['', 'GET /a']) {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes))
    socket.on('error', () => undefined)
    await once(socket, 'connect')
  }
  const started = Date.now()
  t.equal(await gate.stop(), 0)
  t.ok(Date.now() - started < 5_000 * SLACK)
})

// Attack: a push whose gzip is damaged or cut, to a repository that is there and to one that it would create, hung.
t.test('a damaged gzip body gets an answer', async (t) => {
  const world = await createWorld(t)
  await world.createRepository('alice/app')
  const password = await world.token('alice', 'write_repository')
  const whole = gzipSync('0032some commands')
  for (const path of ['alice/app', 'alice/unborn']) {
    for (const body of [
      whole.subarray(0, 12),
      Buffer.concat([whole.subarray(0, 10), Buffer.from('damaged damaged')]),
    ]) {
      for (const service of ['git-receive-pack', 'git-upload-pack']) {
        const headers = { 'Content-Type': `application/x-${service}-request`, 'Content-Encoding': 'gzip' }
        const { status } = await world.http(`/${path}.git/${service}`, { method: 'POST', password, body, headers })
        t.ok([400, 404].includes(status), `${service} ${path} is ${status}`)
      }
    }
  }
})

// Attack: a kilobyte of gzip that unpacks to hundreds of megabytes of haves, which git would all remember.
t.test('a fetch request that unpacks to too much is refused', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const password = await world.token('alice', 'read_repository')
  const body = gzipSync(Buffer.from('0032have 1111111111111111111111111111111111111111\n'.repeat(600_000)))
  const headers = { 'Content-Type': 'application/x-git-upload-pack-request', 'Content-Encoding': 'gzip' }
  const answer = await world.http('/alice/app.git/git-upload-pack', { method: 'POST', password, body, headers })
  t.equal(answer.status, 400)
})

// Attack: a hundred guesses at once were all checked before the first was counted.
t.test('no more passwords are checked at once than may fail', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  await world.setPassword('alice', 'correct horse battery')
  await world.set('git_basic_auth_ip_allowlist', '')
  const guesses = Array.from({ length: 60 }, (_, i) => http(world.url, PULL, { user: 'alice', password: `guess ${i}` }))
  const statuses = (await Promise.all(guesses)).map(({ status }) => status)
  t.ok(statuses.filter((status) => status === 401).length <= 10, 'ten were checked')
  t.ok(statuses.every((status) => [401, 403, 429].includes(status)))
})

// Attack: of two Authorization headers, a proxy may have looked at the other one.
t.test('two Authorization headers are refused', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const password = await world.token('alice', 'read_repository')
  const header = (secret: string) => `Authorization: ${basic('', secret)}\r\n`
  const answer = await raw(
    world.url,
    `GET ${PULL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${header(password)}${header('other')}\r\n`,
  )
  t.match(answer, /^HTTP\/1\.1 400 /)
})

// Users with old histories: such commits can't be changed any more, and harm nobody.
t.test('old histories with harmless faults can be pushed', async (t) => {
  const world = await createWorld(t)
  const password = await world.token('alice', 'write_repository')
  const folder = await world.git.init('old')
  const tree = await world.git.ask(['rev-parse', 'HEAD^{tree}'], { cwd: folder })
  const faults = [`author A <a@example.com> 1 +051800`, `author A <a@example.com>1 +0000`]
  for (const [index, author] of faults.entries()) {
    const text = `tree ${tree}\n${author}\ncommitter A <a@example.com> 1 +0000\n\nold\n`
    const commit = await world.git.ask(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], {
      cwd: folder,
      input: text,
    })
    await world.git.run(['push', world.remote('alice/old', password), `${commit}:refs/heads/fault-${index}`], {
      cwd: folder,
    })
  }
  t.match(await world.git.ask(['ls-remote', world.remote('alice/old', password)]), /fault-0.*fault-1/s)
})

t.test('a backup is whole while the gate runs, and for its owner alone', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  await cli.serve(t)
  await cli.ask(['user', 'add', 'bob'])
  const file = join(cli.folder, 'copy.sqlite3')
  await cli.ask(['backup', file])
  t.equal(statSync(file).mode & 0o777, 0o600)
  const copy = new SQLite(file, { readonly: true })
  t.equal(copy.prepare('SELECT count(*) FROM accounts').pluck().get(), 2)
  copy.close()
  t.match((await cli.run(['backup', file])).stderr, /can't be created/)
})

t.test('a key that is lost is not silently replaced', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['user', '2fa', 'enable', 'alice'])
  t.match((await cli.run(['user', '2fa', 'enable', 'alice'])).stdout, /^$/, 'nothing is shown that would not count')
  renameSync(join(cli.folder, 'data', 'key'), join(cli.folder, 'key'))
  t.match((await cli.run(['user', 'list'])).stderr, /the key .* is missing.*Restore the key from a backup/)
})

t.test('who may read a path is told that nothing is there', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'write', 'team/*')
  const password = await world.token('alice', 'write_repository')
  t.match(
    (await world.http('/alice/nope.git/info/refs?service=git-upload-pack', { password })).body,
    /There is no repository alice\/nope here\. The first push creates it\./,
  )
  t.match(
    (await world.http('/team/nope.git/info/refs?service=git-receive-pack', { password })).body,
    /gitgate repo create team\/nope/,
  )
})

// Attack: gates that start at once on a new data folder. Each ran `git init` in it, and all but one could not start.
t.test('gates that start at once on one data folder all start', async (t) => {
  const folder = temporaryFolder(t)
  const git = await findGit(undefined)
  const backends = Array.from({ length: 24 }, () =>
    embeddedGit({
      git: { ...git, start: startDirectly },
      folder: new RepositoryFolder(join(folder, 'repos')),
      emptyRepository: join(folder, 'empty.git'),
      receiveMaxInputSize: () => Promise.resolve(null),
    }),
  )
  await Promise.all(backends)
  t.strictSame(readdirSync(folder).sort(), ['empty.git', 'repos'])
})

// Attack: whatever makes a timer or a callback throw. The process died at once, with all transfers that ran in it.
t.test('an unexpected error is logged, what runs may finish, and the status says so', async (t) => {
  const thrower = 'process.on("SIGUSR2", () => { throw new Error("boom") })'
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(thrower)}` }
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const password = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const large = await largeCommit(new GitClient(cli.folder, 'client'), 'large', 16)
  const gate = await cli.serveProcess(t)
  const remote = `${gate.url.replace('//', `//alice:${password}@`)}/alice/app.git`
  await new GitClient(cli.folder, 'client').run(['push', '-q', remote, 'main'], { cwd: large.folder })
  const { answer } = await beginFetch({ url: gate.url, path: 'alice/app', password }, large.oid)
  const ended = once(gate.child, 'exit')
  gate.child.kill('SIGUSR2')
  t.ok(await within(2_000, () => gate.said.stderr.includes('unexpected error; ending')))
  let length = 0
  for await (const piece of answer) length += (piece as Buffer).length
  t.ok(answer.complete && length > large.size, 'the clone is whole')
  t.strictSame(await ended, [1, null])
  t.match(gate.said.stderr, /"level":"fatal".*boom/)
})

// Attack: the volume of the repositories is not mounted. Clients were told that a first push would create what they asked for,
// and that push would have filled the empty mount point.
t.test('repositories that are gone for a while are not taken for missing ones', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const password = await world.token('alice', 'write_repository')
  const stranger = await world.token('mallory', 'write_repository')
  const ask = async (path: string, service: string, secret = password) =>
    await world.http(`/${path}.git/info/refs?service=${service}`, { password: secret })
  const [root, away] = [join(world.folder, 'repos'), join(world.folder, 'away')]
  renameSync(root, away)
  for (const path of ['alice/app', 'alice/new'])
    for (const service of ['git-upload-pack', 'git-receive-pack'])
      t.match(await ask(path, service), {
        status: 503,
        headers: { 'retry-after': '60' },
        body: /^The repositories can't be reached/,
      })
  t.equal(
    (await ask('alice/app', 'git-upload-pack', stranger)).status,
    404,
    'whoever may not know of it learns nothing',
  )
  t.equal((await world.http('/-/readiness')).status, 503)
  t.notOk(existsSync(root), 'nothing was created')
  renameSync(away, root)
  t.equal((await ask('alice/app', 'git-upload-pack')).status, 200)
})
