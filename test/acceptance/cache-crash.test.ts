// A gate that is killed, and gates that share a data folder.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from './git-client.js'
import type { GateProcess } from './gitgate-cli.js'
import { GitgateCli } from './gitgate-cli.js'
import { beginClone, cacheFiles, cacheFolders, cloneComplete, heldGit } from './cache-world.js'
import { largeCommit, processesIn } from './transfers.js'
import { within } from './until.js'
import { temporaryFolder } from './temporary-folder.js'

async function served(folder: string, mebibytes: number, env: Readonly<Record<string, string>> = {}) {
  const cli = new GitgateCli(folder, env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const git = new GitClient(cli.folder, 'client')
  const work = await largeCommit(git, 'large', mebibytes)
  const disk = join(cli.folder, 'repos', 'alice', 'app.git')
  await git.run(['push', '-q', disk, 'main'], { cwd: work.folder })
  const remote = (gate: GateProcess): string => `${gate.url.replace('//', `//alice:${secret}@`)}/alice/app.git`
  return { cli, git, work, disk, remote, data: join(cli.folder, 'data') }
}

t.test('after kill -9 during clones, the clones fail and the next gate starts with an empty cache', async (t) => {
  const held = heldGit(t)
  const { cli, git, work, disk, remote, data } = await served(temporaryFolder(t), 10, { GITGATE_GIT: held.path })
  const gate = await cli.serveProcess(t)
  await cloneComplete(git, remote(gate), '--depth', '1')
  held.hold()
  const clones = [beginClone(git, remote(gate)), beginClone(git, remote(gate))]
  t.ok(await within(10_000, () => clones.every((clone) => clone.isReceiving())))
  const pid = gate.child.pid ?? 0
  t.ok(await within(1_000, () => cacheFiles(data, pid).length === 2), 'one is cached, one is in progress')
  gate.child.kill('SIGKILL')
  for (const clone of clones) t.not(await clone.ended, 0)
  held.release()
  t.ok(await within(2_000, () => processesIn(disk).length === 0), 'Git ends when the gate is gone')
  t.equal(cacheFiles(data, pid).length, 2, 'the files are left')

  // The next gate must not serve this to anybody.
  const id = await git.commit(work.folder, 'next.txt', 'next\n')
  await git.run(['push', '-q', disk, 'main'], { cwd: work.folder })
  const next = await cli.serveProcess(t)
  t.equal(cacheFolders(data).length, 1, 'only that of the running gate')
  t.strictSame(cacheFiles(data, next.child.pid), [])
  const copy = await cloneComplete(git, remote(next), '--depth', '1')
  t.equal(await git.ask(['rev-parse', 'HEAD'], { cwd: copy }), id)
  await next.stop()
  t.strictSame(cacheFolders(data), [], 'a gate removes its files when it ends')
})

t.test('two gates on one data folder leave each other’s files alone, and each sees pushes to the other', async (t) => {
  const { cli, git, work, remote, data } = await served(temporaryFolder(t), 3)
  const first = await cli.serveProcess(t)
  await cloneComplete(git, remote(first), '--bare')
  const second = await cli.serveProcess(t)
  await cloneComplete(git, remote(second), '--bare')
  for (const gate of [first, second]) t.equal(cacheFiles(data, gate.child.pid).length, 1)
  for (const [to, from] of [
    [first, second],
    [second, first],
  ] as const) {
    const id = await git.commit(work.folder, 'next.txt', `${to.url}\n`)
    await git.run(['push', '-q', remote(to), 'HEAD:main'], { cwd: work.folder })
    for (const gate of [from, to]) {
      const copy = await cloneComplete(git, remote(gate), '--bare')
      t.equal(await git.ask(['rev-parse', 'HEAD'], { cwd: copy }), id)
    }
  }
  await second.stop()
  t.strictSame(cacheFolders(data), cacheFolders(data, first.child.pid))
  await cloneComplete(git, remote(first), '--bare')
})

t.test('files that belong to no gate stay in the folder', async (t) => {
  const { cli, data } = await served(temporaryFolder(t), 1)
  const gate = await cli.serveProcess(t)
  const other = join(data, 'cache', 'not-a-gate')
  writeFileSync(other, '')
  await gate.stop()
  await cli.serveProcess(t)
  t.ok(existsSync(other))
})
