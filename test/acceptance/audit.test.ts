// Who did what with which token: every Git request, every push before and after, every refusal that is worth knowing.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { within } from './until.js'
import { DAY } from '../../src/core/clock.js'
import type { AuditRow } from '../../src/domain/audit/event.js'
import type { AuditQuery } from '../../src/domain/audit/audit-log.js'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from './programs.js'
import { ONLY, populate, ZERO } from './pushes.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

/** Waits until so many rows are there: those of reads are gathered for half a second. */
async function rows(world: World, query: Partial<AuditQuery>, count: number): Promise<AuditRow[]> {
  const list = () => world.store.audit.list({ limit: 1_000, oldestFirst: true, ...query })
  await within(5_000, async () => (await list()).length >= count)
  return await list()
}

const brief = ({ action, decision, repository }: AuditRow) => `${action} ${decision} ${repository ?? '-'}`

t.test('a clone is told with who, which token, from where, what and how much', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'read', 'team/**')
  await world.seedRepository('team/app')
  const { token, secret } = await world.issue('alice', ['read_repository'])
  await world.git.clone(world.remote('team/app', secret.reveal()), 'app')
  const reported = await rows(world, { action: 'git' }, 4)
  t.strictSame(reported.map(brief), [
    // Git asks without a credential first.
    'git.refs refused team/app',
    'git.refs allowed team/app',
    'git.refs allowed team/app',
    'git.fetch allowed team/app',
  ])
  const alice = await world.account('alice')
  for (const row of reported.slice(1)) {
    t.match(row, { via: 'git', accountId: alice.id, username: 'alice', tokenId: token.id, ip: '127.0.0.1' })
    t.match(row, { userAgent: /^git\//, service: 'git-upload-pack', requestId: /^[0-9a-f-]{36}$/, impersonator: null })
    t.match(row.rule, /read/)
    t.ok(row.bytesIn! > 100 && row.bytesOut! > 100)
    t.notOk(JSON.stringify(row).includes(secret.reveal()))
  }
  t.match(world.log, reported[3]!.requestId!, 'the log has the same request id')
})

for (const kind of [embedded, nginx]) {
  t.test(
    `a push is two rows, before and after: ${kind.name}`,
    { skip: requireProgram(...kind.programs) },
    async (t) => {
      const { world, post, old, next, secret } = await populate(t, kind)
      const capabilities = 'report-status side-band-64k'
      const pushes = async (count: number) => {
        const started = await rows(world, { action: 'git.push' }, 0)
        const all = [...started, ...(await rows(world, { action: 'git.pushed' }, 0))]
        t.equal(all.length, count)
        return all.toSorted((one, other) => one.id - other.id)
      }
      await post([`${ZERO} ${next} refs/heads/agent/1`, `${old} ${next} refs/heads/main`], capabilities)
      const [started, done] = await pushes(2)
      t.match(started, {
        action: 'git.push',
        decision: 'allowed',
        repository: 'team/app',
        service: 'git-receive-pack',
        refs: [{ ref: 'refs/heads/agent/1', old: ZERO, new: next }],
        details: { rejected: [{ ref: 'refs/heads/main', reason: ONLY }] },
      })
      t.match(done, {
        action: 'git.pushed',
        decision: 'allowed',
        refs: [{ ref: 'refs/heads/agent/1', old: ZERO, new: next }],
        details: { rejected: [{ ref: 'refs/heads/main', reason: ONLY }] },
      })
      t.equal(done!.requestId, started!.requestId)

      // What Git itself refuses: the ref is elsewhere by now.
      await post([`${old} ${next} refs/heads/agent/1`], capabilities)
      const [, , again, failed] = await pushes(4)
      t.match(again, { action: 'git.push', decision: 'allowed' })
      t.match(failed, { action: 'git.pushed', decision: 'refused', refs: [] })
      t.match(failed!.details, { rejected: [{ ref: 'refs/heads/agent/1', reason: /./ }] })

      // What the gate refuses as a whole is one row.
      await post([`${old} ${next} refs/heads/main`], capabilities)
      const refused = (await pushes(5))[4]
      t.match(refused, { action: 'git.push', decision: 'refused', rule: ONLY })
      t.strictSame(refused!.refs, [{ ref: 'refs/heads/main', old, new: next }])

      // A client that takes no report, and one that deletes.
      await post([`${next} ${ZERO} refs/heads/agent/1`], 'report-status delete-refs', 'plain', Buffer.alloc(0))
      const deleted = (await pushes(7))[6]
      t.match(deleted, { action: 'git.pushed', decision: 'allowed', refs: [{ new: ZERO }] })
      for (const row of await pushes(7)) t.notOk(JSON.stringify(row).includes(secret))
      t.equal((await world.store.audit.verify()).flaw, undefined)
    },
  )
}

t.test('refused credentials are told with whose they were; those that repeat are one row', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const { token, secret } = await world.issue('alice', ['read_repository'])
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  await world.setPassword('alice', 'correct horse battery')
  const ask = (password: string) =>
    world.http('/alice/app.git/info/refs?service=git-upload-pack', { user: 'alice', password })
  for (let times = 0; times < 5; times += 1) await ask(secret.reveal())
  await ask('wrong password')
  await ask(`ggpat-${'x'.repeat(36)}`)
  const refused = await rows(world, { action: 'auth' }, 3)
  t.match(refused[0], { decision: 'refused', rule: 'token revoked', username: 'alice', tokenId: token.id })
  t.match(refused[1], { rule: 'wrong password', username: 'alice', tokenId: null })
  t.match(refused[2], { rule: 'token with a wrong checksum', username: null, tokenId: null })
  t.equal(refused.length, 3)
  await world.http('/api/v4/user', { headers: { 'Private-Token': secret.reveal() } })
  const overApi = { via: 'api', rule: 'token revoked', username: 'alice', tokenId: token.id }
  t.match((await rows(world, { action: 'auth' }, 4))[3], overApi)
  const other = await world.token('alice', 'read_api')
  await world.http('/api/v4/gitgate/audit_events', { headers: { 'Private-Token': other } })
  t.match((await rows(world, { action: 'auth' }, 5))[4], {
    rule: 'may not GET /api/v4/gitgate/audit_events',
    username: 'alice',
  })
})

t.test('who acts in another’s name is told: with sudo, and by an impersonation token', async (t) => {
  const world = await createWorld(t)
  const root = await world.issue('root', ['api', 'sudo'])
  const alice = await world.account('alice')
  const post = (path: string, body: object, headers: object = {}) =>
    world.http(`/api/v4${path}`, {
      method: 'POST',
      body: Buffer.from(JSON.stringify(body)),
      headers: { 'Private-Token': root.secret.reveal(), 'Content-Type': 'application/json', ...headers },
    })
  const made = await post(`/users/${alice.id}/impersonation_tokens`, { name: 'help', scopes: ['read_repository'] })
  const { token } = JSON.parse(made.body) as { token: string }
  const [created] = await rows(world, { action: 'token.created', user: 'root', via: 'api' }, 1)
  t.match(created, {
    via: 'api',
    username: 'root',
    tokenId: root.token.id,
    target: /^token:/,
    details: { owner: 'user:alice' },
  })
  await world.seedRepository('alice/app')
  await world.git.clone(world.remote('alice/app', token), 'app')
  const fetched = await rows(world, { action: 'git.fetch' }, 1)
  t.match(fetched, [{ username: 'alice', impersonator: 'root' }])
  t.strictSame(await rows(world, { user: 'root', action: 'git.fetch' }, 1), fetched)
})

t.test('reads are written within a second, pushes and changes at once, and all of it at a clean end', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const secret = await world.token('alice', 'read_repository')
  const { id } = await world.store.audit.head()
  const started = performance.now()
  await world.http('/alice/app.git/info/refs?service=git-upload-pack', { password: secret })
  await rows(world, { after: id }, 1)
  t.ok(performance.now() - started < 5_000)
  await world.set('push_to_create', 'false')
  t.match(await world.store.audit.list({ limit: 1 }), [{ action: 'setting.changed', at: world.now }])
  world.advance(DAY)
  await world.set('push_to_create', 'true')
  t.match(await world.store.audit.list({ limit: 1 }), [{ at: world.now, details: { from: 'false', to: 'true' } }])
})

// Attack: a token is pasted where none belongs, so that anyone who reads the audit log has it.
t.test('no row holds a token, wherever a client puts one', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const secret = await world.token('alice', 'write_repository', 'api')
  const folder = await world.git.clone(world.remote('alice/app', secret), 'app')
  const flags = ['-c', `http.userAgent=bot/${secret}`]
  await world.git.run([...flags, 'push', '-q', 'origin', `HEAD:refs/heads/${secret}`], { cwd: folder })
  await world.issue('alice', ['api'], { name: secret })
  await rows(world, { action: 'git.pushed' }, 1)
  const all = JSON.stringify(await world.store.audit.list({ limit: 1_000 }))
  t.match(all, /refs\/heads\//)
  t.notOk(all.includes(secret))
  t.equal((await world.store.audit.verify()).flaw, undefined)
})
