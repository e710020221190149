// Attack: two gates in containers share a data folder. In each of them the gate is process 1. Both took the same folder for their
// cache, named by the process ID, and each start emptied the other's.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import type { Test } from 'tap'
import { cacheFiles, cacheFolders, cloneComplete } from '../acceptance/cache-world.js'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { beginPush, largeCommit, packOf, quarantinesIn } from '../acceptance/transfers.js'
import { until } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'
import { findGit } from '../../src/git/embedded/git-program.js'
import { RepositoryFolder } from '../../src/git/embedded/repository-folder.js'
import { joinInstances } from '../../src/core/instances.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'
import { openStore } from '../../src/storage/open.js'

const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
const UNSHARE = ['--pid', '--fork', '--kill-child', '--mount-proc']
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0

/** A gate that is process 1 of a PID namespace of its own. */
async function gateAsProcess1(t: Test, cli: GitgateCli) {
  const child = spawn('unshare', [...UNSHARE, process.execPath, PROGRAM, 'serve', '--port', '0'], {
    cwd: cli.folder,
    env: cli.env,
  })
  t.teardown(() => child.kill('SIGKILL'))
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said.text += chunk.toString()))
  await until(() => said.text.includes('listens on'))
  const ended = new Promise((resolve) => child.once('close', resolve))
  return {
    url: /listens on (\S+)/.exec(said.text)?.[1] ?? '',
    said,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

t.test(
  'two gates that are both process 1 keep each other’s cache, and remove a dead one’s',
  { skip: !canUnshare && 'unshare can make no PID namespace here' },
  async (t) => {
    const cli = new GitgateCli(temporaryFolder(t))
    const data = join(cli.folder, 'data')
    await cli.ask(['user', 'add', 'alice'])
    await cli.ask(['repo', 'create', 'alice/app'])
    const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'read_repository'])
    const git = new GitClient(cli.folder, 'client')
    const large = await largeCommit(git, 'large', 3)
    await git.run(['push', '-q', join(cli.folder, 'repos', 'alice', 'app.git'), 'main'], { cwd: large.folder })
    const clone = async ({ url }: { url: string }) =>
      await cloneComplete(git, `${url.replace('//', `//alice:${secret}@`)}/alice/app.git`, '--bare')

    const first = await gateAsProcess1(t, cli)
    await clone(first)
    const kept = cacheFiles(data)
    t.equal(kept.length, 1, 'the first gate keeps a pack')
    const second = await gateAsProcess1(t, cli)
    t.strictSame(cacheFiles(data), kept, 'the start of the second leaves it there')
    await clone(second)
    t.equal(cacheFiles(data).length, 2)
    await until(async () => ((await cli.json('cache', 'stats')) as { pid: number }[]).length === 2)
    const stats = (await cli.json('cache', 'stats')) as { pid: number; instance: string }[]
    t.strictSame(
      stats.map(({ pid }) => pid),
      [1, 1],
    )
    t.equal(new Set(stats.map(({ instance }) => instance)).size, 2, 'seen from outside, both are alive')
    await clone(first)
    t.match(first.said.text, /"cache":"hit".*\n*$/, 'and the first answers from its cache')

    await first.kill()
    const third = await gateAsProcess1(t, cli)
    t.notOk(existsSync(kept[0] ?? ''), 'the kernel has released the lock of the killed gate')
    t.equal(cacheFiles(data).length, 1, 'the second still has its own')
    await clone(third)
  },
)

// Attack: a gate that starts removes what killed pushes have left, and asks /proc whether a git is at work. It sees no git of another
// container, so it removed the objects of pushes that were under way there.
t.test(
  'a gate that starts leaves a push in another PID namespace alone',
  { skip: !canUnshare && 'unshare can make no PID namespace here' },
  async (t) => {
    const cli = new GitgateCli(temporaryFolder(t))
    const disk = join(cli.folder, 'repos', 'alice', 'app.git')
    await cli.ask(['user', 'add', 'alice'])
    await cli.ask(['repo', 'create', 'alice/app'])
    const password = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
    const large = await largeCommit(new GitClient(cli.folder, 'client'), 'large', 3)
    const first = await gateAsProcess1(t, cli)
    const pack = packOf(large)
    const push = beginPush({ url: first.url, path: 'alice/app', password }, large.oid, pack.subarray(0, 2_000_000))
    const answered = once(push, 'response') as Promise<[IncomingMessage]>
    await until(() => quarantinesIn(disk).length > 0)
    await gateAsProcess1(t, cli)
    t.equal(quarantinesIn(disk).length, 1, 'its objects are still there')
    push.end(pack.subarray(2_000_000))
    const [answer] = await answered
    t.match(await text(answer), 'ok refs/heads/pushed')
  },
)

t.test('what killed pushes and commands have left is removed when nobody else is alive', async (t) => {
  const git = await findGit(undefined)
  const root = join(temporaryFolder(t), 'repos')
  const folders = [new RepositoryFolder(root), new RepositoryFolder(root), new RepositoryFolder(root)] as const
  const path = parseRepositoryPath('alice/app')!
  await folders[0].create(git, path, 'sha1')
  const disk = folders[0].locate(path)
  const quarantine = join(disk, 'objects', 'tmp_objdir-incoming-abc')
  const draft = join(root, '.gitgate-new-abc')
  const exist = () => [quarantine, draft].map((name) => existsSync(name))
  for (const name of [quarantine, draft]) mkdirSync(name)
  await joinInstances(join(root, '.gitgate'), 'command').then(async (command) => {
    t.equal(await folders[0].join('first'), 0)
    t.strictSame(exist(), [true, true], 'while a command runs, nothing')
    await command.release()
  })
  t.equal(await folders[1].join('second'), 0)
  await folders[0].pushEnded(disk, true)
  t.strictSame(exist(), [true, true], 'while another gate runs, nothing')
  await folders[1].leave()
  await folders[1].join('first')
  await folders[0].pushEnded(disk, true)
  t.strictSame(exist(), [false, true], 'a worker of the same gate is no other')
  for (const folder of folders) await folder.leave()
  t.equal(await folders[2].join('third'), 1)
  t.strictSame(exist(), [false, false])
  await folders[2].leave()
  t.strictSame(readdirSync(join(root, '.gitgate')), ['lock'], 'and no lock is left')
})

// Attack: a draft of the audit mark was named by the process ID. A gate in another container, with the same ID, renamed it when it was
// half written.
t.test('the draft of an audit mark is not named by the process ID', async (t) => {
  const data = join(temporaryFolder(t), 'data')
  const store = openStore(data, undefined)
  const mark = join(data, 'audit-mark')
  // Stands for the draft of a process with the same ID: a file would be overwritten.
  mkdirSync(`${mark}.${process.pid}`)
  await store.note(GATE_CONTEXT, { action: 'repository.created', repository: 'alice/app' })
  await store.close()
  t.match(readFileSync(mark, 'utf8'), /^1 /)
  await openStore(data, undefined).close()
  t.strictSame(
    readdirSync(data).filter((name) => name.startsWith('audit-mark')),
    ['audit-mark'],
    'what a killed process has left is removed',
  )
})

t.test('two gates in one process keep each other’s cache', async (t) => {
  const first = await createWorld(t)
  const data = join(first.folder, 'data')
  const folders = cacheFolders(data)
  t.equal(folders.length, 1)
  await createWorld(t, { data, repos: join(first.folder, 'repos') })
  t.equal(cacheFolders(data).length, 2)
  t.ok(existsSync(folders[0] ?? ''))
})
