// Attacks that lose or forge audit events.
import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { http } from '../acceptance/http-client.js'
import { within } from '../acceptance/until.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

type Row = {
  id: number
  action: string
  target: string | null
  refs: { ref: string }[] | null
  at: string
  user: string | null
}

/** A gate in its own process with a repository, a token, and a clone that is a commit ahead. */
async function served(t: Test, env: Readonly<Record<string, string>> = {}) {
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const git = new GitClient(cli.folder, 'alice')
  const folder = await git.init('work')
  const remote = (url: string): string => `${url.replace('//', `//alice:${secret}@`)}/alice/app.git`
  const rows = async (...args: string[]) => (await cli.json('audit', 'list', '--limit', '100000', ...args)) as Row[]
  return { cli, secret, git, folder, remote, rows }
}

// Attack, or power cut: kill -9 under load. What was answered to a push must be in the audit log; up to a second of reads may be lost.
t.test('a gate that is killed loses a second of reads at most, and no push', async (t) => {
  t.setTimeout(120_000)
  const { cli, secret, git, folder, remote, rows } = await served(t)
  const gate = await cli.serveProcess(t)
  const answered: number[] = []
  let isOver = false
  const read = async (): Promise<void> => {
    while (!isOver) {
      const answer = await http(gate.url, '/alice/app.git/info/refs?service=git-receive-pack', {
        password: secret,
      }).catch(() => undefined)
      if (answer?.status === 200) answered.push(Date.now())
    }
  }
  const readers = Array.from({ length: 8 }, read)
  const pushed: string[] = []
  const push = async (): Promise<void> => {
    for (let number = 0; !isOver; number += 1) {
      const ref = `refs/heads/agent/${number}`
      const { status } = await git.run(['push', '-q', remote(gate.url), `HEAD:${ref}`], { cwd: folder, status: 'any' })
      if (status === 0) pushed.push(ref)
    }
  }
  const pusher = push()
  await within(60_000, () => answered.length > 500 && pushed.length > 5)
  const killedAt = Date.now()
  gate.child.kill('SIGKILL')
  isOver = true
  await Promise.all([...readers, pusher])

  const reported = await rows()
  const verified = await cli.run(['audit', 'verify'])
  t.equal(verified.status, 0, verified.stderr)
  const moved = new Set(
    reported.filter(({ action }) => action === 'git.push').flatMap(({ refs }) => (refs ?? []).map(({ ref }) => ref)),
  )
  t.strictSame(
    pushed.filter((ref) => !moved.has(ref)),
    [],
    'every push that was answered is told',
  )
  // Half a second until the flush, and what the flush takes on a machine that does much else.
  const mustBeThere = answered.filter((at) => at < killedAt - 1_000).length
  const reads = reported.filter(({ action, user }) => action === 'git.refs' && user === 'alice').length
  t.ok(reads >= mustBeThere, `${reads} rows of ${mustBeThere} reads that were a second old, ${answered.length} in all`)
  t.comment(`${Math.round(answered.length / ((killedAt - answered[0]!) / 1_000))} reads a second`)
})

// The disk is full: what can't be recorded must not be done.
t.test('a push that can not be recorded is refused in git’s own output, and leaves no trace', async (t) => {
  const { cli, git, folder, remote, rows } = await served(t)
  const program = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
  const database = join(cli.folder, 'data', 'gitgate.sqlite3')
  // The reserve of the disk is longer than the limit, so it is made before.
  await (await cli.serveProcess(t)).stop()
  // No file may grow beyond what the database has now, so that to write the next pages fails as on a full disk.
  const limit = Math.ceil(Number(execFileSync('stat', ['-c', '%s', database]).toString()) / 1_024) + 64
  const gate = spawn('bash', ['-c', `ulimit -f ${limit}; exec ${process.execPath} ${program} serve --port 0`], {
    cwd: cli.folder,
    env: cli.env,
  })
  t.teardown(() => gate.kill('SIGKILL'))
  let said = ''
  for (const stream of [gate.stdout, gate.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await within(20_000, () => said.includes('listens on'))
  const url = /listens on (\S+)/.exec(said)?.[1] ?? ''
  let refused = ''
  const landed: string[] = []
  for (let number = 0; number < 300 && refused === ''; number += 1) {
    const { status, stderr } = await git.run(['push', remote(url), `HEAD:refs/heads/many/${number}`], {
      cwd: folder,
      status: 'any',
    })
    if (status === 0) landed.push(`refs/heads/many/${number}`)
    else refused = stderr
  }
  t.match(refused, /remote rejected\] HEAD -> many\/\d+ \(gitgate can't record pushes now \(.*\), so it takes none/)
  // Reading goes on, and so does the gate.
  t.match((await git.run(['ls-remote', remote(url)], { cwd: folder })).stdout, /refs\/heads\/many\/0/)
  const refs =
    (await git.run(['ls-remote', remote(url)], { cwd: folder })).stdout.match(/refs\/heads\/many\/\d+/g) ?? []
  t.strictSame(refs.toSorted(), landed.toSorted(), 'what was refused was not done')
  gate.kill('SIGKILL')
  await once(gate, 'close')
  const moved = (await rows('--action', 'git.push')).flatMap(({ refs: all }) => (all ?? []).map(({ ref }) => ref))
  t.strictSame(
    landed.filter((ref) => !moved.includes(ref)),
    [],
  )
  t.equal((await cli.run(['audit', 'verify'])).status, 0)
})

t.test(
  'audit events are exported to a file as they are written, by any program, and export continues after a stop',
  async (t) => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'audit.jsonl')
    const cli = new GitgateCli(folder, { GITGATE_AUDIT_LOG: file })
    await cli.ask(['user', 'add', 'early'])
    const lines = (): Row[] =>
      existsSync(file)
        ? readFileSync(file, 'utf8')
            .trim()
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as Row)
        : []
    const gate = await cli.serveProcess(t)
    await cli.ask(['user', 'add', 'alice'])
    await within(10_000, () => lines().length === 1)
    // Rotated away: it is made anew.
    rmSync(file)
    await cli.ask(['user', 'add', 'bob'])
    await within(10_000, () => lines().length === 1)
    await gate.stop()
    await cli.ask(['user', 'add', 'carol'])
    await cli.serveProcess(t)
    await within(10_000, () => lines().length === 2)
    t.match(lines(), [{ target: 'user:bob' }, { target: 'user:carol' }])
  },
)

t.test('audit events are exported to syslog by UDP and TCP, and wait while nobody listens', async (t) => {
  const udp = createSocket('udp4')
  t.teardown(() => udp.close())
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve))
  let datagrams = ''
  udp.on('message', (message) => (datagrams += `${message.toString()}\n`))
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_AUDIT_LOG: `syslog://127.0.0.1:${udp.address().port}` })
  const gate = await cli.serveProcess(t)
  await cli.ask(['user', 'add', 'alice'])
  await within(10_000, () => datagrams.includes('user:alice'))
  t.match(datagrams, /^<110>1 \d{4}-\d\d-\d\dT\S+Z \S+ gitgate \d+ user\.added - \{"id":1,/)
  await gate.stop()

  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  const other = new GitgateCli(join(cli.folder), { GITGATE_AUDIT_LOG: `syslog+tcp://127.0.0.1:${port}` })
  const later = await other.serveProcess(t)
  await other.ask(['user', 'add', 'bob'])
  await within(20_000, () => later.said.stderr.includes('to GITGATE_AUDIT_LOG failed'))
  let stream = ''
  const listener = createServer((socket) => socket.on('data', (chunk) => (stream += chunk.toString())))
  t.teardown(() => listener.close())
  listener.listen(port, '127.0.0.1')
  await within(20_000, () => stream.includes('user:bob'))
  const [, length] = /^(\d+) </.exec(stream) ?? []
  t.equal(Number(length), Buffer.byteLength(stream) - `${length} `.length)
  await later.stop()
})
