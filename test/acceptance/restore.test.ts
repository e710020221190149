import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { crash } from './crash.js'
import { http } from './http-client.js'
import { GitgateCli } from './gitgate-cli.js'
import { requireMount, smallDisk } from './small-disk.js'
import { temporaryFolder } from './temporary-folder.js'

const SECRETS_LOST = ['restore', '--without-secrets'] as const

/** A data folder with alice, its backup, and bob, who came later. */
async function backedUp(t: Test, folder = temporaryFolder(t)) {
  const cli = new GitgateCli(folder)
  await cli.ask(['user', 'add', 'alice'])
  const backup = join(folder, 'backup.sqlite3')
  await cli.ask(['backup', backup])
  await cli.ask(['user', 'add', 'bob'])
  return { cli, folder, backup, data: join(folder, 'data'), database: join(folder, 'data', 'gitgate.sqlite3') }
}

async function usersOf(cli: GitgateCli): Promise<string[]> {
  return ((await cli.json('user', 'list')) as { username: string }[]).map(({ username }) => username)
}

t.test('a backup takes the place of the database, which is kept and can be restored again', async (t) => {
  const { cli, backup, data } = await backedUp(t)
  const { status, stderr } = await cli.run(['restore', backup])
  t.equal(status, 0)
  t.match(stderr, /^Restored .*\/data\/gitgate\.sqlite3 from .*\/backup\.sqlite3, up to event 1 of its audit log\.$/m)
  t.match(stderr, /^The replaced database is .*\/gitgate\.sqlite3\.before-\d{8}T\d{6}Z; /m)
  t.match(stderr, /^The backup lacks 1 or more later events\. Repeat what was revoked or blocked/m)
  t.strictSame(await usersOf(cli), ['alice'])
  t.match(await cli.json('audit', 'verify'), { ok: true, rows: 2 })
  const [event] = (await cli.json('audit', 'list', '--action', 'database.restored')) as object[]
  t.match(event, { details: { file: 'backup.sqlite3', event: 1 }, operator: /./ })
  t.equal((await cli.run(['doctor'])).stdout.includes('PROBLEM'), false)

  const [kept = ''] = readdirSync(data).filter((name) => name.includes('.before-'))
  const undone = (await cli.json('restore', '--yes', join(data, kept))) as { kept: string }
  t.ok(existsSync(undone.kept))
  t.strictSame(await usersOf(cli), ['alice', 'bob'])
  t.match(await cli.json('audit', 'verify'), { ok: true, rows: 3 })
})

t.test('a machine that has only the key and a backup gets its data folder back', async (t) => {
  const { cli, folder, backup } = await backedUp(t)
  const data = join(folder, 'new')
  mkdirSync(data)
  copyFileSync(join(folder, 'data', 'key'), join(data, 'key'))
  const restored = JSON.parse(await cli.ask(['--data', data, 'restore', backup, '--json'])) as object
  t.match(restored, { kept: null, replaced_head: null, head: { id: 1 } })
  t.match(await cli.ask(['--data', data, 'user', 'list']), 'alice')
})

t.test('nothing is restored while a gate runs, whose users notice nothing', async (t) => {
  const { cli, backup } = await backedUp(t)
  for (const args of [[], ['--no-cache'], ['--workers', '2']]) {
    const gate = await cli.serveProcess(t, ['serve', '--port', '0', ...args])
    const { status, stderr } = await cli.runProcess(['restore', backup])
    t.equal(status, 1)
    t.match(stderr, /\/data is in use by a gate or another command; stop it and try again/)
    t.equal((await http(gate.url, '/-/readiness')).status, 200)
    t.equal(await gate.stop(), 0)
  }
  t.strictSame(await usersOf(cli), ['alice', 'bob'])
})

t.test('sessions end, since one that was signed out would begin again', async (t) => {
  const { cli, backup } = await backedUp(t)
  const database = new SQLite(backup)
  database.exec(
    "INSERT INTO sessions (account_id, digest, created_at, last_seen_at, ip, signed_in_by) VALUES (1, 'd', 0, 0, '', 'password')",
  )
  database.close()
  // The event of a session that was put in by hand is missing, which does not matter: it is gone before the log is verified.
  await cli.ask(['restore', backup])
  const restored = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'), { readonly: true })
  t.equal(restored.prepare('SELECT count(*) FROM sessions').pluck().get(), 0)
  restored.close()
})

t.test('where the key is lost, everything but its secrets is restored', async (t) => {
  const { cli, data, backup } = await backedUp(t)
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'api'])
  const enabled = (await cli.json('user', '2fa', 'enable', 'alice')) as { recovery_codes: string[] }
  await cli.ask(['webhook', 'add', 'http://127.0.0.1:1/hook'])
  const current = join(data, 'gitgate.sqlite3')
  const refused = await cli.run([...SECRETS_LOST, current])
  t.match(refused.stderr, /\/key is the key of this backup; restore it without --without-secrets/)

  renameSync(join(data, 'key'), join(cli.folder, 'lost'))
  t.match((await cli.run(['user', 'list'])).stderr, /the key .* is missing.* gitgate restore --without-secrets FILE/)
  t.match((await cli.run(['restore', current])).stderr, /the key .* is missing/)
  t.notOk(existsSync(join(data, 'key')), 'nothing was changed')
  const { status, stderr } = await cli.run([...SECRETS_LOST, current])
  t.equal(status, 0)
  t.match(stderr, 'alice can use only tokens until you run: gitgate user 2fa disable alice')
  t.match(stderr, 'Removed the webhook http://127.0.0.1:1/hook')

  t.match(await cli.json('audit', 'verify'), { ok: true })
  const events = await cli.json('audit', 'list', '--action', 'database.restored')
  t.match(events, [{ details: { locked: ['alice'] } }], 'the chain goes on with an event that says so')
  t.strictSame(await cli.json('webhook', 'list'), [])
  const codes = ['000000', ...enabled.recovery_codes]
  for (const code of codes) t.equal((await cli.run(['user', '2fa', 'verify', 'alice'], code)).status, 1)
  const gate = await cli.serve(t)
  await cli.ask(['user', 'passwd', 'alice'], 'correct horse battery')
  const asks = (password: string) => http(gate.url, '/a/b.git/info/refs?service=git-upload-pack', { password })
  t.equal((await asks('correct horse battery')).status, 401)
  t.not((await asks(token)).status, 401, 'tokens work')
  await gate.stop()
  await cli.ask(['user', '2fa', 'disable', 'alice'])
  await cli.ask(['user', '2fa', 'enable', 'alice'])

  const old = await cli.run(['restore', backup])
  t.match(old.stderr, /\/key is not the key of this database/, 'backups from before need it, too')
  t.equal((await cli.run([...SECRETS_LOST, backup])).status, 0)
})

/** A program that restores a backup and is killed at a step of the swap. */
const KILLED = `
  import { restoreDatabase } from '${new URL('../../src/storage/restore.js', import.meta.url).href}'
  import { GATE_CONTEXT } from '${new URL('../../src/domain/audit/event.js', import.meta.url).href}'
  const [data, backup, fatal] = process.argv.slice(1)
  let step = 0
  const onStep = () => { if (step++ === Number(fatal)) process.kill(process.pid, 'SIGKILL') }
  await restoreDatabase(data, undefined, backup, GATE_CONTEXT, { withoutSecrets: false, onStep })
`

t.test('a kill at any step leaves the restored database, and the replaced one beside it', async (t) => {
  const crashed = await backedUp(t)
  // The replaced database has a log of its own.
  crash(crashed.data, 1)
  t.ok(existsSync(`${crashed.database}-wal`))
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  const data = join(folder, 'data')
  for (let step = 0, isKilled = true; isKilled; step += 1) {
    rmSync(data, { recursive: true, force: true })
    cpSync(crashed.data, data, { recursive: true })
    const args = ['--input-type=module', '--eval', KILLED, data, crashed.backup, String(step)]
    const { signal, status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    isKilled = signal === 'SIGKILL'
    if (isKilled) t.ok(readdirSync(data).some((name) => name.startsWith('restored-')))
    else t.equal(status, 0, stderr)
    if (!isKilled) t.ok(step >= 5, 'it was killed at each step')
    t.strictSame(await usersOf(cli), ['alice'], `step ${step}`)
    t.match(await cli.json('audit', 'verify'), { ok: true, rows: 2 })
    const names = readdirSync(data)
    t.notOk(names.some((name) => name.startsWith('restore')))
    await cli.ask(['restore', join(data, names.find((name) => /\.before-\w+$/.test(name)) ?? '')])
    t.strictSame(await usersOf(cli), ['alice', 'bob', 'user-1-0'])
  }
})

t.test('a kill before that leaves the database as it was, and the next restore works', async (t) => {
  const { cli, data, backup } = await backedUp(t)
  // What is there just before the commit.
  mkdirSync(join(data, 'restore-draft'))
  copyFileSync(backup, join(data, 'restore-draft', 'gitgate.sqlite3'))
  t.strictSame(await usersOf(cli), ['alice', 'bob'])
  t.notOk(existsSync(join(data, 'restore-draft')), 'what it left takes no space')
  await cli.ask(['restore', backup])
  t.strictSame(await usersOf(cli), ['alice'])
})

t.test('on a full disk nothing is restored, and nothing is lost', { skip: requireMount() }, async (t) => {
  const disk = smallDisk(t, 24)
  const { cli, data, backup } = await backedUp(t, disk.folder)
  disk.fill()
  const { status, stderr } = await cli.run(['restore', backup])
  t.equal(status, 1)
  t.match(stderr, /^gitgate: disk full: no space is left for .*\/data; free at least/)
  disk.clear()
  t.strictSame(await usersOf(cli), ['alice', 'bob'])
  t.notOk(existsSync(join(data, 'restore-draft')))
  t.equal((await cli.run(['restore', backup])).status, 0)
  rmSync(backup)
})
