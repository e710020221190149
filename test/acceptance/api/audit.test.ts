// The audit log over the API: gitgate's own calls, for administrators only.
import { GATE_CONTEXT } from '../../../src/domain/audit/event.js'
import t from 'tap'
import { createWorld } from '../world.js'
import { callsWith } from './calls.js'

t.test('an administrator reads the audit log page by page, saves its head, and verifies it', async (t) => {
  const world = await createWorld(t)
  const call = callsWith(world, await world.token('root', 'read_api'))
  await world.set('push_to_create', 'false')
  const all = (await call('GET', '/gitgate/audit_events')).body as { id: number; action: string }[]
  t.match(all[0], {
    action: 'setting.changed',
    target: 'setting:push_to_create',
    via: 'gate',
    details: { to: 'false' },
  })
  t.strictSame(
    all.map(({ id }) => id),
    all.map((_, index) => all.length - index),
    'newest first',
  )
  const [first, second] = (await call('GET', '/gitgate/audit_events?limit=2')).body as { id: number }[]
  t.strictSame((await call('GET', `/gitgate/audit_events?limit=1&before=${first!.id}`)).body, [second])
  t.match((await call('GET', '/gitgate/audit_events?after=1&limit=1')).body, [{ id: 2 }])
  t.match((await call('GET', '/gitgate/audit_events?action=user&user=ALICE')).body, [{ target: 'user:alice' }])
  t.strictSame((await call('GET', '/gitgate/audit_events?since=2100-01-01')).body, [])
  for (const bad of ['action=git.pull', 'decision=maybe', 'since=yesterday', 'limit=0', 'limit=1001', 'token_id=x'])
    t.equal((await call('GET', `/gitgate/audit_events?${bad}`)).status, 400, bad)

  const head = (await call('GET', '/gitgate/audit_head')).body as { id: number; hash: string }
  t.equal(head.id, all.length)
  const anchor = `id=${head.id}&hash=${head.hash}`
  t.match((await call('GET', `/gitgate/audit_verification?${anchor}`)).body, {
    ok: true,
    rows: head.id,
    flaw: null,
    head,
  })
  const other: unknown = (await call('GET', `/gitgate/audit_verification?id=1&hash=${'0'.repeat(64)}`)).body
  t.match(other, { ok: false, flaw: /event 1 has a different hash/ })
  t.equal((await call('GET', '/gitgate/audit_verification?id=1')).status, 400)

  const asAlice = callsWith(world, await world.token('alice', 'api'))
  for (const path of ['audit_events', 'audit_head', 'audit_verification'])
    t.equal((await asAlice('GET', `/gitgate/${path}`)).status, 403, path)
})

t.test('what is changed over the API is told with the caller, and with who acts in their name', async (t) => {
  const world = await createWorld(t)
  const boss = { username: 'boss', name: 'Boss', email: 'boss@example.com', admin: true, passwordHash: null }
  await world.store.accounts.add(GATE_CONTEXT, boss, world.now)
  const { token, secret } = await world.issue('root', ['api', 'sudo'])
  const call = callsWith(world, secret.reveal())
  t.equal((await call('PUT', '/application/settings', { push_to_create: false })).status, 200)
  t.equal(
    (await call('POST', '/gitgate/grants?sudo=boss', { subject: 'alice', role: 'read', pattern: '**' })).status,
    201,
  )
  const rows: unknown = (await call('GET', '/gitgate/audit_events?limit=2')).body
  t.match(rows, [
    { action: 'grant.set', via: 'api', user: 'boss', impersonator: 'root', token_id: token.id },
    { action: 'setting.changed', via: 'api', user: 'root', impersonator: null, token_id: token.id, ip: '127.0.0.1' },
  ])
})
