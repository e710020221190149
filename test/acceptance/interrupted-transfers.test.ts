import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from './git-client.js'
import type { GateProcess } from './gitgate-cli.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import {
  beginFetch,
  beginPush,
  childrenOf,
  commandOf,
  largeCommit,
  quarantinesIn,
  packOf,
  processesIn,
} from './transfers.js'
import { SLACK, within } from './until.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

// A dying client, gate or git leaves no hang, no half push, and no process behind: the embedded server.

const fsck = (git: GitClient, disk: string) =>
  git.run(['-c', 'safe.directory=*', '--git-dir', disk, 'fsck', '--full', '--strict'])

t.test('a client that leaves in mid-clone takes git with it within a second', async (t) => {
  const world = await createWorld(t)
  const large = await largeCommit(world.git, 'large', 30)
  const password = await world.token('alice', 'write_repository')
  await world.git.run(['push', '-q', world.remote('alice/large', password), 'main'], { cwd: large.folder })
  const disk = world.onDisk('alice/large')
  const { call, answer } = await beginFetch({ url: world.url, path: 'alice/large', password }, large.oid)
  await once(answer, 'readable')
  t.ok(processesIn(disk).length > 0, 'git waits for a reader')
  call.destroy()
  t.ok(await within(1_000, () => processesIn(disk).length === 0))
  t.ok(await within(1_000, () => world.log.includes('"decision":"aborted"')))
})

t.test('a client that leaves in mid-push leaves no process, no ref and no object', async (t) => {
  const world = await createWorld(t)
  const large = await largeCommit(world.git, 'large', 10)
  const password = await world.token('alice', 'write_repository')
  await world.createRepository('alice/target')
  const disk = world.onDisk('alice/target')
  for (const part of [0, 1_000, 5_000_000]) {
    const push = beginPush(
      { url: world.url, path: 'alice/target', password },
      large.oid,
      packOf(large).subarray(0, part),
    )
    t.ok(
      await within(5_000, () => processesIn(disk).length > 0 && (part < 5_000_000 || quarantinesIn(disk).length > 0)),
    )
    push.destroy()
    t.ok(await within(1_000, () => processesIn(disk).length === 0), `gone after ${part} bytes`)
    t.ok(await within(1_000, () => quarantinesIn(disk).length === 0), 'and nothing is left')
  }
  t.equal(await world.git.ask(['ls-remote', world.remote('alice/target', password)]), '')
  await fsck(world.git, disk)
})

/** A gate in a process of its own, with a repository of a large commit. */
async function startGate(t: Parameters<GitgateCli['serve']>[0], folder: string, mebibytes: number, env = {}) {
  const cli = new GitgateCli(folder, env)
  const git = new GitClient(folder, 'client')
  await cli.ask(['user', 'add', 'alice'])
  const password = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'write_repository'])
  const gate = await cli.serveProcess(t)
  const large = await largeCommit(git, 'large', mebibytes)
  const remote = (gate: GateProcess) => `${gate.url.replace('//', `//alice:${password}@`)}/alice/app.git`
  return { cli, git, gate, large, password, remote, disk: join(folder, 'repos', 'alice', 'app.git') }
}

t.test('SIGTERM: no new requests, running transfers finish, status 0', async (t) => {
  const { git, gate, large, password, remote, disk } = await startGate(t, temporaryFolder(t), 20)
  await git.run(['push', '-q', remote(gate), 'main'], { cwd: large.folder })
  const { answer } = await beginFetch({ url: gate.url, path: 'alice/app', password }, large.oid)
  await once(answer, 'readable')
  const ended = gate.stop()
  t.ok(await within(2_000, () => gate.said.stderr.includes('Shutting down')))
  await t.rejects(http(gate.url, '/-/health'), 'no new connection')
  let length = 0
  for await (const chunk of answer) length += (chunk as Buffer).length
  t.ok(length > large.size, 'the transfer is whole')
  t.equal(await ended, 0)
  t.strictSame(processesIn(disk), [])
})

t.test('SIGTERM: a transfer that does not end is cut after the configured time', async (t) => {
  const { git, gate, large, password, remote, disk } = await startGate(t, temporaryFolder(t), 20, {
    GITGATE_SHUTDOWN_TIMEOUT: '1',
  })
  await git.run(['push', '-q', remote(gate), 'main'], { cwd: large.folder })
  const { answer } = await beginFetch({ url: gate.url, path: 'alice/app', password }, large.oid)
  answer.on('error', () => undefined)
  await once(answer, 'readable')
  const started = Date.now()
  t.equal(await gate.stop(), 0)
  t.ok(Date.now() - started < 4_000 * SLACK)
  t.ok(await within(1_000, () => processesIn(disk).length === 0))
})

t.test(
  'kill -9 in mid-push: the store is sound, the ref is where it was, nothing is left after the next start',
  async (t) => {
    const { cli, git, gate, large, password, remote, disk } = await startGate(t, temporaryFolder(t), 20)
    const before = await git.commit(large.folder, 'small.txt', 'small\n')
    await git.run(['push', '-q', remote(gate), 'main'], { cwd: large.folder })
    for (const withGit of [false, true]) {
      const current = withGit ? await cli.serveProcess(t) : gate
      beginPush({ url: current.url, path: 'alice/app', password }, large.oid, packOf(large).subarray(0, 10_000_000))
      t.ok(await within(5_000, () => quarantinesIn(disk).length > 0), 'the push is under way')
      const workers = processesIn(disk)
      const helpers = childrenOf(current.child.pid).filter((pid) => commandOf(pid).includes('spawn-helper-process'))
      t.equal(helpers.length, 1)
      current.child.kill('SIGKILL')
      if (withGit) for (const pid of workers) process.kill(pid, 'SIGKILL')
      t.ok(await within(2_000, () => processesIn(disk).length === 0), 'git ends by itself when the gate is gone')
      t.ok(await within(2_000, () => helpers.every((pid) => commandOf(pid) === '')), 'and the spawn helper')
      if (withGit) t.not(quarantinesIn(disk).length, 0, 'a killed git leaves its quarantine')
    }
    const again = await cli.serveProcess(t)
    t.strictSame(quarantinesIn(disk), [])
    t.ok(await within(1_000, () => again.said.stderr.includes('removed quarantines of killed pushes')))
    t.match(await git.ask(['ls-remote', remote(again), 'refs/heads/main']), before)
    t.equal(await git.ask(['ls-remote', remote(again), 'refs/heads/pushed']), '')
    await fsck(git, disk)
    t.match(await cli.json('token', 'list'), [{ id: 1, active: true }])
  },
)
