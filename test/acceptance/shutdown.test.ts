// A gate that is stopped lets a real push finish, whoever stops it and however many processes it has.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { GitClient } from './git-client.js'
import type { GateProcess } from './gitgate-cli.js'
import { GitgateCli } from './gitgate-cli.js'
import { temporaryFolder } from './temporary-folder.js'
import { childrenOf, processesIn } from './transfers.js'
import { until } from './until.js'

const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']

/** Who stops the gate: how it was started, and which processes get which signal. */
const STOPS = {
  'systemd with KillMode=mixed: SIGTERM to the main process': {
    options: {},
    stop: ({ child }: GateProcess) => child.kill('SIGTERM'),
  },
  'Ctrl-C: SIGINT to the process group of the terminal': {
    options: { hasOwnGroup: true },
    stop: ({ child }: GateProcess) => process.kill(-(child.pid ?? 0), 'SIGINT'),
  },
  'a container: SIGTERM to process 1': {
    options: { wrapper: CONTAINER },
    stop: ({ child }: GateProcess) => process.kill(childrenOf(child.pid)[0] ?? 0, 'SIGTERM'),
  },
}

function canUnshare(): boolean {
  try {
    execFileSync(CONTAINER[0] ?? '', [...CONTAINER.slice(1), 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A gate, and a real push to it, which the repository's hook holds until it is released. */
async function startPush(t: Test, workers: number, options: object, env: Readonly<Record<string, string>> = {}) {
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const disk = join(cli.folder, 'repos', 'alice', 'app.git')
  const [started, released] = [join(cli.folder, 'started'), join(cli.folder, 'released')]
  const script = `#!/bin/sh\ntouch '${started}'\nwhile test ! -e '${released}'; do sleep 0.02; done\n`
  mkdirSync(join(disk, 'hooks'))
  writeFileSync(join(disk, 'hooks', 'pre-receive'), script, { mode: 0o755 })
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--workers', String(workers)], options)
  const release = (): void => writeFileSync(released, '')
  // A gate that is left running must not wait for the hook.
  t.teardown(release)
  const exited = new Promise<number | null>((resolve) => gate.child.on('close', resolve))
  const git = new GitClient(cli.folder, 'client')
  const folder = await git.init('work')
  const commit = await git.commit(folder, 'file', 'text\n')
  const remote = gate.url.replace('//', `//alice:${token}@`)
  const pushed = git.run(['push', `${remote}/alice/app.git`, 'main'], { cwd: folder, status: 'any' })
  await until(() => existsSync(started))
  const pushedCommit = () => git.ask(['--git-dir', disk, 'for-each-ref', '--format=%(objectname)', 'refs/heads/main'])
  return { gate, exited, pushed, commit, disk, release, pushedCommit }
}

for (const [name, { options, stop }] of Object.entries(STOPS)) {
  const skip = 'wrapper' in options && !canUnshare() && 'a process namespace needs root'
  for (const workers of [1, 2]) {
    t.test(`${name}; ${workers} worker(s)`, { skip }, async (t) => {
      const { gate, exited, pushed, commit, disk, release, pushedCommit } = await startPush(t, workers, options)
      stop(gate)
      await until(() => gate.said.stderr.includes('Shutting down'))
      release()
      t.match(await pushed, { status: 0, stderr: /main -> main/ })
      t.equal(await pushedCommit(), commit)
      t.equal(await exited, 0)
      t.strictSame(processesIn(disk), [], 'no process is left, which systemd would kill')
      t.notMatch(gate.said.stderr, /aborting transfers|"level":"(error|fatal)"/)
    })
  }
}

for (const workers of [1, 2]) {
  t.test(`a push that doesn't finish is cut, and none of its processes is left; ${workers} worker(s)`, async (t) => {
    const env = { GITGATE_SHUTDOWN_TIMEOUT: '1' }
    const { gate, exited, pushed, disk, pushedCommit } = await startPush(t, workers, {}, env)
    gate.child.kill('SIGTERM')
    t.equal(await exited, 0)
    t.strictSame(processesIn(disk), [])
    t.not((await pushed).status, 0)
    t.equal(await pushedCommit(), '')
    t.match(gate.said.stderr, /aborting transfers that are still running/)
  })
}
