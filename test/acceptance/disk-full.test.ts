// Fault: on a full disk nobody could revoke a leaked token, since each change of rights needs space for itself and its audit
// event; readiness said that all is well; and a restart ended with "disk I/O error".
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { AuditCheckpoint } from '../../src/storage/signed-heads.js'
import { KEY_BYTES, Sealer } from '../../src/storage/seal.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import { openStore } from '../../src/storage/open.js'
import type { TokenDraft } from '../../src/domain/tokens/issue.js'
import { issueToken } from '../../src/domain/tokens/issue.js'
import { FormClient } from '../pages/form-client.js'
import { GitClient } from './git-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { requireMount, smallDisk } from './small-disk.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'

const RESERVE_BYTES = 8 * 1_048_576
const PASSWORD = 'correct horse battery'
const TOKENS = '/-/user_settings/personal_access_tokens'
const skip = requireMount()

/** A data folder on a disk of its own; repositories are elsewhere. */
async function onSmallDisk(t: Test, mebibytes = 24, env: Readonly<Record<string, string>> = {}) {
  const disk = smallDisk(t, mebibytes)
  const data = join(disk.folder, 'data')
  const cli = new GitgateCli(temporaryFolder(t), {
    GITGATE_DATA: data,
    GITGATE_TRUSTED_PROXIES: '127.0.0.1',
    ...env,
  })
  await cli.ask(['user', 'add', 'root', '--admin', '--password-stdin'], `${PASSWORD}\n`)
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['repo', 'create', 'alice/app'])
  const token = (user: string, scopes: string) => cli.ask(['token', 'create', user, '--name', 'ci', '--scopes', scopes])
  /** What was begun and not finished. */
  const drafts = () => readdirSync(data).filter((name) => /^(key|audit-mark|disk-reserve)\./.test(name))
  return { disk, cli, token, reserved: () => statSync(join(data, 'disk-reserve')).size, drafts }
}

async function readinessOf(url: string) {
  const { status, body } = await http(url, '/-/readiness')
  return { status, body: JSON.parse(body) as Record<string, string> }
}

t.test('a full disk refuses pushes and changes; revocations, blocks and bans still work', { skip }, async (t) => {
  const { disk, cli, token, reserved } = await onSmallDisk(t)
  await cli.ask(['user', 'add', 'bob'])
  await cli.ask(['user', 'add', 'carol'])
  await cli.ask(['access', 'grant', '@all', 'write', 'alice/app'])
  const admin = await token('root', 'api,sudo')
  const [first, second, third] = [await token('alice', 'api'), await token('alice', 'api'), await token('alice', 'api')]
  const budgeted = await cli.ask([
    'token',
    'create',
    'alice',
    '--name',
    'n',
    '--scopes',
    'write_repository',
    '--max-pushes',
    '9',
  ])
  const [bob, carol] = [await token('bob', 'api'), await token('carol', 'api')]
  const gate = await cli.serveProcess(t)
  const git = new GitClient(cli.folder, 'alice')
  const folder = await git.init('work')
  const remote = (secret: string) => `${gate.url.replace('//', `//alice:${secret}@`)}/alice/app.git`
  const push = (secret: string, ref: string) =>
    git.run(['push', remote(secret), `HEAD:refs/heads/${ref}`], { cwd: folder, status: 'any' })
  const reads = async (secret: string) =>
    (await git.run(['ls-remote', remote(secret)], { cwd: folder, status: 'any' })).status === 0
  const call = (method: string, path: string, secret: string) =>
    http(gate.url, `/api/v4${path}`, { method, headers: { 'PRIVATE-TOKEN': secret } })
  const root = new FormClient(gate.url)
  await root.signIn('root', PASSWORD)
  t.equal((await push(third, 'main')).status, 0)
  t.match(await readinessOf(gate.url), { status: 200, body: { status: 'ok', disk: 'ok' } })
  t.equal(reserved(), RESERVE_BYTES)

  disk.fill()
  await until(async () => (await readinessOf(gate.url)).body['status'] === 'degraded')
  t.match(await readinessOf(gate.url), { status: 200, body: { store: 'ok', disk: 'degraded' } }, 'it still serves')
  t.match((await http(gate.url, '/-/metrics')).body, /^gitgate_degraded\{part="disk"\} 1$/m)
  t.match((await push(third, 'refused')).stderr, /can't record pushes now \(disk full: .*\), so it takes none/)
  t.match((await push(budgeted, 'refused')).stderr, /can't record pushes now \(disk full: .*\), so it takes none/)
  t.ok(await reads(third), 'reading goes on')
  const refusesChanges = async (when: string) => {
    t.match(await cli.run(['user', 'add', 'dave']), { status: 1, stderr: /^gitgate: disk full: / }, when)
    t.match(await call('POST', '/personal_access_tokens/4/rotate', admin), { status: 503, body: /disk full: / }, when)
  }
  await refusesChanges('nothing of the reserve is in use')
  t.equal(reserved(), RESERVE_BYTES, 'only revocations use it')

  await cli.ask(['token', 'revoke', '2'])
  t.notOk(await reads(first), 'revoked by a command')
  t.ok(reserved() < RESERVE_BYTES)
  t.match((await cli.run(['doctor'])).stdout, /^PROBLEM +disk-full +only revocations and blocks are still written to /m)
  await refusesChanges('what was released is for revocations alone')
  t.equal((await call('DELETE', '/personal_access_tokens/3', admin)).status, 204)
  t.notOk(await reads(second), 'revoked over the API')
  await cli.ask(['user', 'block', 'bob'])
  t.notOk(await reads(bob), 'blocked by a command')
  t.equal((await root.submit('/-/admin/users/carol/block', {})).status, 303)
  t.notOk(await reads(carol), 'blocked in the browser')
  t.equal((await root.get('/-/admin/users/carol')).status, 200)
  await cli.ask(['access', 'revoke', '@all', 'alice/app'])
  t.equal((await root.submit('/users/sign_out', {}, TOKENS)).status, 303)
  t.equal((await root.get(TOKENS)).status, 303, 'signed out')
  const guess = () =>
    http(gate.url, '/alice/app.git/info/refs?service=git-upload-pack', {
      password: 'wrong',
      headers: { 'X-Forwarded-For': '203.0.113.9' },
    })
  for (let tries = 0; tries < 10; tries += 1) await guess()
  t.equal((await guess()).status, 403, 'banned')

  disk.clear()
  await until(async () => (await push(third, 'landed')).status === 0)
  await until(async () => (await readinessOf(gate.url)).body['status'] === 'ok')
  t.equal(reserved(), RESERVE_BYTES, 'made again')
  t.match((await http(gate.url, '/-/metrics')).body, /^gitgate_degraded\{part="disk"\} 0$/m)
  await cli.ask(['user', 'add', 'dave'])
  t.equal((await cli.run(['audit', 'verify'])).status, 0)
  t.equal(await gate.stop(), 0)
})

// With 4 MiB it was used up after 180: SQLite's log starts anew, and takes no more space, only after that.
t.test('the reserve is enough for a thousand revocations, and lets no other change in', { skip }, async (t) => {
  const disk = smallDisk(t, 24)
  const data = join(disk.folder, 'data')
  const write = openStore(data, undefined, { durable: false })
  const now = new Date()
  const account = { username: 'alice', name: 'alice', email: null, admin: false, passwordHash: null }
  const alice = await write.accounts.add(GATE_CONTEXT, account, now)
  const rules = issueRules(resolveSettings(new Map()), now)
  const ids: number[] = []
  for (let count = 0; count < 1_000; count += 1) {
    const draft: TokenDraft = { name: 'ci', scopes: ['api'], expiry: undefined }
    ids.push((await issueToken(write.tokens, GATE_CONTEXT, alice, draft, rules, now)).token.id)
  }
  await write.reserveSpace()
  // Opened anew, its log is empty.
  await write.close()
  const store = openStore(data, undefined, { durable: false })
  t.teardown(() => store.close())
  await store.facts.writeBaseUrl('http://127.0.0.1')
  disk.fill()
  for (const id of ids) {
    if (!(await store.tokens.revoke(GATE_CONTEXT, id, now))) t.fail(`token ${id}`)
    // Whoever keeps trying to write takes nothing of it, within a transaction or outside of one.
    if (id % 100 !== 0) continue
    await t.rejects(store.accounts.add(GATE_CONTEXT, { ...account, username: 'bob' }, now), { code: 'disk-full' })
    await t.rejects(store.facts.writeBaseUrl('http://127.0.0.2'), { code: 'disk-full' })
  }
  t.equal(await store.isDiskFull(), true)
  t.comment(`${statSync(join(data, 'disk-reserve')).size} bytes of the reserve are left`)
  disk.clear()
  await store.facts.writeBaseUrl('http://127.0.0.2')
  t.equal(await store.isDiskFull(), false, 'one write is enough to recover')
  t.equal(statSync(join(data, 'disk-reserve')).size, RESERVE_BYTES)
})

// While its place could not be noted, audit export sent the same events again at each try.
t.test('audit export sends each event once on a full disk, too', { skip }, async (t) => {
  const file = join(temporaryFolder(t), 'audit.jsonl')
  const { disk, cli, token } = await onSmallDisk(t, 24, { GITGATE_AUDIT_LOG: file })
  await token('alice', 'api')
  await token('alice', 'api')
  const gate = await cli.serveProcess(t)
  disk.fill()
  const exported = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [])
  for (const id of ['1', '2']) {
    await cli.ask(['token', 'revoke', id])
    await until(() => exported().some((line) => line.includes(`"target":"token:${id}"`)))
  }
  const ids = exported().map((line) => (JSON.parse(line) as { id: number }).id)
  t.strictSame(ids, [...new Set(ids)])
  disk.clear()
  await until(async () => (await readinessOf(gate.url)).body['status'] === 'ok')
})

t.test('each worker says that the disk is full, and a revocation reaches all', { skip }, async (t) => {
  const { disk, cli, token } = await onSmallDisk(t)
  const secret = await token('alice', 'read_repository')
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--workers', '2'])
  const reads = () => http(gate.url, '/alice/app.git/info/refs?service=git-upload-pack', { password: secret })
  t.equal((await reads()).status, 200)
  disk.fill()
  // Which of them answers is up to the system.
  for (let time = 0; time < 10; time += 1) t.match(await readinessOf(gate.url), { body: { disk: 'degraded' } })
  await cli.ask(['token', 'revoke', '1'])
  for (let time = 0; time < 10; time += 1) t.equal((await reads()).status, 401)
})

const DISK_FULL = /^gitgate: disk full: no space is left for \/\S+\/data; free at least 9 MiB there and try again$/m

t.test('a start on a full disk says so, with the folder and what to do', { skip }, async (t) => {
  const { disk, cli, drafts } = await onSmallDisk(t)
  const fails = async (...args: string[]) => {
    const { status, stderr } = await cli.runProcess(args)
    t.equal(status, 1, args.join(' '))
    t.match(stderr, DISK_FULL)
    t.notMatch(stderr, /SQLITE|ENOSPC|disk I\/O/)
  }
  const serve = ['serve', '--port', '0'] as const
  await t.test('after it was stopped', async () => {
    await (await cli.serveProcess(t)).stop()
    disk.fill()
    await fails(...serve)
    await fails(...serve, '--workers', '2')
    await fails('user', 'list')
    const findings = (await cli.run(['doctor', '--json'])).stdout
    t.match(JSON.parse(findings), [{}, {}, { check: 'database', message: /^disk full/, remedy: /^free space/ }])
    disk.clear()
  })
  await t.test('after it was killed there', async () => {
    const gate = await cli.serveProcess(t)
    disk.fill()
    gate.child.kill('SIGKILL')
    await once(gate.child, 'close')
    await fails(...serve)
    disk.clear()
  })
  await t.test('for the first time', async () => {
    disk.fill()
    const fresh = new GitgateCli(cli.folder, { GITGATE_DATA: join(disk.folder, 'new', 'data') })
    const { status, stderr } = await fresh.runProcess(serve)
    t.equal(status, 1)
    t.match(stderr, DISK_FULL)
    disk.clear()
    t.equal(await (await fresh.serveProcess(t)).stop(), 0, 'nothing is in the way later')
  })
  t.equal(await (await cli.serveProcess(t)).stop(), 0)
  t.strictSame(drafts(), [])
})

t.test('an audit mark that can not be written leaves no draft, one for each command', { skip }, (t) => {
  const disk = smallDisk(t, 1)
  disk.fill()
  new AuditCheckpoint(join(disk.folder, 'audit-mark'), new Sealer(randomBytes(KEY_BYTES))).write({ id: 1, hash: 'f00' })
  t.strictSame(readdirSync(disk.folder), ['ballast'])
  t.end()
})
