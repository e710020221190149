// A disk that is full or fails, or files that others remove: clones still succeed, and the cache turns itself off.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { beginClone, cacheBytes, cacheFiles, cacheResults, cloneComplete, heldGit, cachedWorld } from './cache-world.js'
import { largeCommit } from './transfers.js'
import { until, within } from './until.js'
import { temporaryFolder } from './temporary-folder.js'

const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')

/** A gate whose files can't grow beyond a limit in KiB: further writes fail, as on a full disk. */
async function gateWithLimit(t: Test, cli: GitgateCli, limit: number) {
  const command = `ulimit -f ${limit}; exec ${process.execPath} ${PROGRAM} serve --port 0`
  const gate = spawn('bash', ['-c', command], { cwd: cli.folder, env: cli.env })
  t.teardown(() => gate.kill('SIGKILL'))
  let said = ''
  for (const stream of [gate.stdout, gate.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await within(20_000, () => said.includes('listens on'))
  return { url: /listens on (\S+)/.exec(said)?.[1] ?? '', said: () => said, pid: gate.pid ?? 0 }
}

t.test('on a full disk, clones in progress succeed, alone and shared, and later ones bypass the cache', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const git = new GitClient(cli.folder, 'client')
  const { folder } = await largeCommit(git, 'large', 20)
  // Not through the gate, whose limit would apply to the push, too.
  await git.run(['push', '-q', join(cli.folder, 'repos', 'alice', 'app.git'), 'main'], { cwd: folder })
  const size = statSync(join(cli.folder, 'data', 'gitgate.sqlite3')).size
  // More than the database needs, less than the pack.
  const gate = await gateWithLimit(t, cli, Math.ceil(size / 1_024) + 12_000)
  const remote = `${gate.url.replace('//', `//alice:${secret}@`)}/alice/app.git`
  const clones = Array.from({ length: 4 }, () => beginClone(git, remote))
  for (const clone of clones) t.equal(await clone.ended, 0)
  t.match(gate.said(), /cache disabled for 60 s/)
  await cloneComplete(git, remote)
  const data = join(cli.folder, 'data')
  t.ok(await within(1_000, () => cacheFiles(data, gate.pid).length === 0), 'the partial file is gone')
  // The gate reports once a second.
  await until(async () => {
    const [{ writeFailures }] = (await cli.json('cache', 'stats')) as [{ writeFailures: number }]
    return writeFailures === 1
  })
})

t.test('removing the cache folder during clones affects none of them', async (t) => {
  const git = heldGit(t)
  const { world, remote, clone, data } = await cachedWorld(t, { flags: { git: git.path }, mebibytes: 10 })
  git.hold()
  const clones = [beginClone(world.git, remote), beginClone(world.git, remote)]
  t.ok(await within(10_000, () => clones.every((one) => one.isReceiving())))
  rmSync(join(data, 'cache'), { recursive: true })
  git.release()
  for (const one of clones) t.equal(await one.ended, 0, 'a clone that was in progress')
  // Open files stay readable. The next file that must be created fails.
  await clone()
  await clone('--depth', '1')
  await clone('--depth', '1')
  t.match(world.log, 'cache disabled for 60 s')
})

t.test('a truncated cache file fails the clone that reads it, and no other', async (t) => {
  const { world, remote, clone, data } = await cachedWorld(t, { mebibytes: 5 })
  await clone('--bare')
  const [file = ''] = cacheFiles(data)
  truncateSync(file, 2_000_000)
  const status = await beginClone(world.git, remote).ended
  t.not(status, 0, 'a short pack never looks complete')
  await clone('--bare')
})

t.test('the folder stays under its quota whatever is requested', async (t) => {
  const quota = 8 * 1_048_576
  const { world, push, clone, data, folder } = await cachedWorld(t, { mebibytes: 3, flags: { cacheSize: '8M' } })
  let most = 0
  const look = setInterval(() => (most = Math.max(most, cacheBytes(data))), 5)
  t.teardown(() => clearInterval(look))
  for (let number = 0; number < 4; number += 1) {
    await world.git.commit(folder, 'more', `${number}\n`)
    await push('HEAD:main')
    await Promise.all([
      clone('--bare'),
      clone('--bare', '--depth', '1'),
      clone('--bare', '--single-branch', '--no-tags'),
    ])
  }
  t.ok(most > 0 && most <= quota, `${most} bytes at most`)
  // One of three simultaneous clones may have found no room.
  for (let time = 0; time < 2; time += 1) await clone('--bare')
  t.equal(cacheResults(world).at(-1), 'hit')
})

t.test('a pack longer than the quota reaches all clones that share it, and isn’t cached', async (t) => {
  const git = heldGit(t)
  const flags = { git: git.path, cacheSize: '4M' }
  const { world, remote, clone, data } = await cachedWorld(t, { mebibytes: 12, flags })
  git.hold()
  const clones = Array.from({ length: 4 }, () => beginClone(world.git, remote))
  t.ok(await within(10_000, () => clones.every((one) => one.isReceiving())))
  git.release()
  for (const one of clones) t.equal(await one.ended, 0)
  t.ok(await within(1_000, () => cacheFiles(data).length === 0))
  await clone('--bare')
  t.notMatch(world.log, 'cache disabled')
})

t.test('without a cache there is no folder for it', async (t) => {
  const { clone, data, world } = await cachedWorld(t, { flags: { cache: 'off' } })
  await clone()
  t.notOk(existsSync(join(data, 'cache')), readdirSync(data).join(' '))
  t.strictSame(cacheResults(world), [])
})
