// Rotation with overlap, and limits that end tokens: by the command line, beside a running gate.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import t from 'tap'
import { HOUR, utcDate, DAY } from '../../src/core/clock.js'
import { openStore } from '../../src/storage/open.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { until, within } from './until.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

const SELF = '/api/v4/personal_access_tokens/self'

t.test('rotate --grace keeps the old secret alive beside the new one, and says who uses it', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const old = await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'api'])
  const gate = await cli.serve(t)
  const status = async (token: string) => (await http(gate.url, SELF, { headers: { 'PRIVATE-TOKEN': token } })).status
  t.equal(await status(old), 200)
  await until(async () => (await cli.ask(['token', 'show', '1'])).includes('127.0.0.1'))
  const { stdout, stderr } = await cli.run(['token', 'rotate', '1', '--grace', '24h'])
  t.match(stderr, /The old token works until \d{4}-.*Z\. It was last used at .*, from 127\.0\.0\.1\./)
  t.equal(await status(stdout.trim()), 200)
  t.equal(await status(old), 200, 'the old one, too')
  t.match(await cli.json('token', 'show', '1'), { active: true, revoked: false })
  t.match((await cli.run(['token', 'rotate', '1'])).stderr, /was already revoked or rotated/)
  t.match((await cli.run(['token', 'rotate', '2', '--grace', '365d'])).stderr, /at most 90 days/)
  await cli.ask(['token', 'revoke', '1'])
  t.equal(await status(old), 401, 'revoked before its time')
  t.equal(await status(stdout.trim()), 200)
})

t.test('when the time is over, the old secret is', async (t) => {
  const world = await createWorld(t)
  const cli = new GitgateCli(world.folder)
  const { token, secret } = await world.issue('alice', ['api'])
  await cli.ask(['token', 'rotate', String(token.id), '--grace', '2h'])
  const status = async () => (await world.http(SELF, { headers: { 'PRIVATE-TOKEN': secret.reveal() } })).status
  t.equal(await status(), 200)
  world.advance(3 * HOUR)
  t.equal(await status(), 401)
})

t.test('a lifetime limit lists whom it ends beforehand, and ends them hours later', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const token = (...flags: string[]) =>
    cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'api', ...flags])
  await token()
  await token('--expires-in', '10d')
  const set = ['settings', 'set', 'max_personal_access_token_lifetime', '30']
  t.match(await cli.json(...set, '--dry-run'), [{ id: 1, name: 'ci', user: 'alice', expires_at: null }])
  t.match(await cli.ask([...set, '--dry-run']), /^ID +USER +NAME +EXPIRES +LAST USED\n1 +alice +ci +never +never$/)
  t.match(await cli.json('settings', 'get', 'max_personal_access_token_lifetime'), {
    max_personal_access_token_lifetime: null,
  })
  t.match((await cli.run(set)).stderr, /1 token lives longer and will be revoked in 3 hours/)
  const latest = utcDate(new Date(Date.now() + 30 * DAY))
  t.match(
    (await cli.run(['token', 'create', 'alice', '--name', 'x', '--scopes', 'api', '--expires-in', '40d'])).stderr,
    `tokens must expire by ${latest} on this server (setting max_personal_access_token_lifetime)`,
  )
  const active = async () =>
    ((await cli.json('token', 'list')) as { active: boolean }[]).map((one) => one.active).join()
  await (await cli.serve(t)).stop()
  t.equal(await active(), 'true,true', 'not yet')
  const store = openStore(join(cli.folder, 'data'), undefined)
  await store.settings.set(
    GATE_CONTEXT,
    new Map([['max_personal_access_token_lifetime', '29']]),
    new Date(Date.now() - 4 * HOUR),
  )
  await store.close()
  const gate = await cli.serve(t)
  const words = '"token_id":1,"msg":"revoked: lives longer than max_personal_access_token_lifetime"'
  t.ok(await within(20_000, () => gate.said.stderr.includes(words)), 'as soon as the gate is there')
  t.equal(await active(), 'false,true')
})

t.test('an impersonation token made on the command line works, until impersonation is off', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const flags = ['--name', 'support', '--scopes', 'api', '--impersonation']
  const secret = await cli.ask(['token', 'create', 'alice', ...flags])
  const own = await cli.ask(['token', 'create', 'alice', '--name', 'own', '--scopes', 'api'])
  const gate = await cli.serve(t)
  const ask = (path: string, token: string) => http(gate.url, path, { headers: { 'PRIVATE-TOKEN': token } })
  t.match(JSON.parse((await ask(SELF, secret)).body), { name: 'support', impersonation: true })
  const list = JSON.parse((await ask('/api/v4/personal_access_tokens', own)).body) as { name: string }[]
  t.strictSame(
    list.map(({ name }) => name),
    ['own'],
    'its owner does not see it',
  )
  await cli.ask(['settings', 'set', 'impersonation_enabled', 'false'])
  t.equal((await ask(SELF, secret)).status, 401)
})
