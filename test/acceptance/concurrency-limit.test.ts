// More clones at once than there are slots: they wait, and are refused with the reason when the queue is full.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { largeCommit } from './transfers.js'
import { temporaryFolder } from './temporary-folder.js'

/** How many processes of upload-pack serve a repository. */
function runsOn(disk: string): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      const words = readFileSync(join('/proc', pid, 'cmdline'), 'utf8').split('\0')
      return words.includes('upload-pack') && words.includes(disk) && !words.includes('--advertise-refs')
    } catch {
      return false
    }
  }).length
}

t.test('clones wait for a slot, and none of them fails', async (t) => {
  t.setTimeout(120_000)
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_GIT_RUNS: '2', GITGATE_GIT_WAITING: '20' })
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['user', 'add', 'bob'])
  await cli.ask(['access', 'grant', 'bob', 'read', 'alice/**'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secrets = new Map<string, string>()
  for (const name of ['alice', 'bob'])
    secrets.set(name, await cli.ask(['token', 'create', name, '--name', 'ci', '--scopes', 'write_repository']))
  const gate = await cli.serve(t, ['serve', '--port', '0', '--no-cache'])
  const remote = (name: string): string =>
    `${gate.url.replace('//', `//${name}:${secrets.get(name) ?? ''}@`)}/alice/app.git`
  const git = new GitClient(cli.folder, 'git')
  const { folder } = await largeCommit(git, 'large', 5)
  await git.run(['push', '-q', remote('alice'), 'main'], { cwd: folder })
  const disk = join(cli.folder, 'repos', 'alice', 'app.git')
  let most = 0
  const timer = setInterval(() => (most = Math.max(most, runsOn(disk))), 5)
  t.teardown(() => clearInterval(timer))
  const names = ['alice', 'alice', 'alice', 'alice', 'alice', 'bob']
  const clones = names.map((name, index) => git.clone(remote(name), `copy-${index}`, '--bare', '-q'))
  for (const copy of await Promise.all(clones)) await git.run(['fsck', '--full', '--strict'], { cwd: copy })
  t.ok(most <= 4, `${most} at once: two packs, two lists of refs`)
  t.ok(most >= 1)
})

t.test('a request that finds the queue full is refused with the reason, and told to retry', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_GIT_RUNS: '1', GITGATE_GIT_WAITING: '0' })
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const secret = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'write_repository'])
  const gate = await cli.serve(t, ['serve', '--port', '0', '--no-cache'])
  const url = `${gate.url}/alice/app.git/info/refs?service=git-upload-pack`
  const headers = { Authorization: `Basic ${Buffer.from(`alice:${secret}`).toString('base64')}` }
  const answers = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const answer = await fetch(url, { headers })
      return { status: answer.status, text: await answer.text(), retryAfter: answer.headers.get('retry-after') }
    }),
  )
  t.ok(answers.some(({ status }) => status === 200))
  const refused = answers.filter(({ status }) => status !== 200)
  t.ok(refused.length > 0)
  for (const answer of refused)
    t.match(answer, {
      status: 503,
      retryAfter: '60',
      text: /^Too many Git requests are running and waiting on this server/,
    })
  t.match(gate.said.stderr, /"reason":"too many requests are queued"/)
})
