import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SLACK } from './until.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'

// What the command line changes is in force on a running gate's next request, not after a while.

const PUSH = '/team/app.git/info/refs?service=git-receive-pack'
const PULL = '/team/app.git/info/refs?service=git-upload-pack'

t.test('revocation, blocks, grants, passwords, two-factor and settings', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice', '--password-stdin'], 'correct horse battery')
  await cli.ask(['repo', 'create', 'team/app'])
  const first = await cli.ask(['token', 'create', 'alice', '--name', 'first', '--scopes', 'write_repository'])
  const gate = await cli.serveProcess(t)
  const status = async (password: string, path = PUSH) =>
    (await http(gate.url, path, { user: 'alice', password })).status

  t.equal(await status(first), 404)
  await cli.ask(['access', 'grant', 'alice', 'read', 'team/*'])
  t.equal(await status(first), 403)
  await cli.ask(['access', 'grant', 'alice', 'write', 'team/*'])
  t.equal(await status(first), 200)
  await cli.ask(['user', 'block', 'alice'])
  t.equal(await status(first), 401)
  await cli.ask(['user', 'unblock', 'alice'])
  t.equal(await status(first), 200)

  const second = await cli.ask(['token', 'rotate', '1'])
  t.same([await status(first), await status(second)], [401, 200], 'rotated')
  await cli.ask(['token', 'revoke', '2'])
  t.equal(await status(second), 401, 'revoked')

  t.equal(await status('correct horse battery'), 200)
  await cli.ask(['settings', 'set', 'password_authentication_enabled_for_git', 'false'])
  t.equal(await status('correct horse battery'), 401)
  await cli.ask(['settings', 'set', 'password_authentication_enabled_for_git', 'true'])
  t.equal(await status('correct horse battery'), 200)
  await cli.ask(['user', 'passwd', 'alice'], 'another horse battery')
  t.same([await status('correct horse battery'), await status('another horse battery')], [401, 200])
  await cli.ask(['user', '2fa', 'enable', 'alice'])
  t.equal(await status('another horse battery'), 401)
  await cli.ask(['user', '2fa', 'disable', 'alice'])
  t.equal(await status('another horse battery'), 200)

  await cli.ask(['access', 'grant', '@anonymous', 'read', 'team/app'])
  t.equal((await http(gate.url, PULL)).status, 200)
  await cli.ask(['access', 'revoke', '@anonymous', 'team/app'])
  t.equal((await http(gate.url, PULL)).status, 401)
  await cli.ask(['user', 'delete', 'alice'])
  t.equal(await status('another horse battery'), 401)
})

t.test('the last use is seen by the command line within a second', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'api'])
  const gate = await cli.serveProcess(t)
  await http(gate.url, '/alice/none.git/info/refs?service=git-upload-pack', { password: token })
  const used = Date.now()
  let shown: { last_used_at: string | null; last_used_ips: string[] }
  do shown = (await cli.json('token', 'show', '1')) as typeof shown
  while (shown.last_used_at === null && Date.now() - used < 1_000 * SLACK)
  t.ok(Math.abs(Date.parse(shown.last_used_at ?? '') - used) < 1_000 * SLACK)
  t.same(shown.last_used_ips, ['127.0.0.1'])
})

t.test(
  'a data folder of another user is refused',
  { skip: process.getuid?.() === 0 ? false : 'needs root' },
  async (t) => {
    const folder = temporaryFolder(t)
    mkdirSync(join(folder, 'data'))
    writeFileSync(join(folder, 'data', 'gitgate.sqlite3'), '')
    chownSync(join(folder, 'data'), 12345, 12345)
    const { status, stderr } = await new GitgateCli(folder).run(['user', 'list'])
    t.equal(status, 1)
    t.match(stderr, /data belongs to user 12345 and you are 0; run this as its owner: sudo -u '#12345' gitgate/)
  },
)
