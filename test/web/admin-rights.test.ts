// Grants and protected refs in the browser, and the page that explains them.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { administration } from './administration.js'

const GRANTS = '/-/admin/grants'
const PROTECTIONS = '/-/admin/protected_refs'

t.test('a grant is set, changed, searched for, and taken back', async (t) => {
  const { world, root } = await administration(t)
  t.match((await root.get(GRANTS)).body, 'No grants yet')
  const set = (subject: string, role: string, pattern: string) => root.submit(GRANTS, { subject, role, pattern })
  const refused: Record<string, [string, string, string]> = {
    'There is no account': ['nobody', 'read', 'team/*'],
    'is not a role': ['alice', 'owner', 'team/*'],
    'can only read': ['@anonymous', 'write', 'team/*'],
    'is not a subject': ['@everybody', 'read', 'team/*'],
    'is not a repository pattern': ['alice', 'read', '../x'],
  }
  for (const [words, [subject, role, pattern]] of Object.entries(refused)) {
    const answer = await set(subject, role, pattern)
    t.equal(answer.status, 422, words)
    t.match(answer.body, words)
  }
  t.equal((await set('Alice', 'write', 'team/*')).headers['location'], GRANTS)
  const confirmation = await set('alice', 'read', 'team/*')
  t.match(confirmation.body, /Replace the existing grant\?.*Current role<\/dt><dd>write.*New role<\/dt><dd>read/s)
  t.match(await world.store.grants.list(), [{ role: 'write' }], 'a role is not lost by the way')
  const replaced = { subject: 'alice', role: 'read', pattern: 'team/*', replace: 'yes' }
  t.equal((await root.submit(GRANTS, replaced)).headers['location'], GRANTS)
  await set('@all', 'read', 'docs/**')
  t.match(await world.store.grants.list(), [
    { subject: '@all', role: 'read', pattern: 'docs/**' },
    { subject: 'alice', role: 'read', pattern: 'team/*' },
  ])
  t.match((await root.get(`${GRANTS}?search=TEAM`)).body, '<code>team/*</code>')
  t.notMatch((await root.get(`${GRANTS}?search=TEAM`)).body, 'docs/')
  const query = new URLSearchParams({ subject: 'alice', pattern: 'team/*' }).toString()
  t.match((await root.get(`${GRANTS}/remove?${query}`)).body, 'Revoke this grant?')
  t.equal((await world.store.grants.list()).length, 2, 'to look changes nothing')
  await root.submit(`${GRANTS}/remove`, { subject: 'alice', pattern: 'team/*' }, GRANTS)
  t.equal((await world.store.grants.list()).length, 1)
  t.equal((await root.get(`${GRANTS}/remove?${query}`)).status, 404)
  t.equal((await root.submit(`${GRANTS}/remove`, { subject: 'alice', pattern: 'team/*' }, GRANTS)).status, 404)
  const rows = await world.store.audit.list({ action: 'grant', limit: 10 })
  t.strictSame(
    rows.map(({ action, via, username }) => [action, via, username]),
    [
      ['grant.removed', 'web', 'root'],
      ['grant.set', 'web', 'root'],
      ['grant.set', 'web', 'root'],
      ['grant.set', 'web', 'root'],
    ],
  )
})

t.test('refs are protected, and no more', async (t) => {
  const { world, root } = await administration(t)
  t.match((await root.get(PROTECTIONS)).body, 'No protected refs yet')
  const plain = { repositories: 'team/**', refs: 'main', push: 'admin', force: 'nobody', delete: 'nobody' }
  t.match((await root.submit(PROTECTIONS, { ...plain, push: 'root' })).body, 'is not a level')
  t.match((await root.submit(PROTECTIONS, { ...plain, refs: 'a b' })).body, 'is not a ref pattern')
  await root.submit(PROTECTIONS, plain)
  t.match(await world.store.protections.list(), [{ ...plain, refs: 'refs/heads/main' }])
  const looser = { ...plain, push: 'write' }
  t.match((await root.submit(PROTECTIONS, looser)).body, /push: admin, .*push: write, /s)
  t.match(await world.store.protections.list(), [{ push: 'admin' }])
  await root.submit(PROTECTIONS, { ...looser, refs: 'refs/heads/main', replace: 'yes' })
  t.match(await world.store.protections.list(), [{ push: 'write' }])
  const named = { repositories: 'team/**', refs: 'refs/heads/main' }
  t.match(
    (await root.get(`${PROTECTIONS}/remove?${new URLSearchParams(named).toString()}`)).body,
    'Remove this protection?',
  )
  await root.submit(`${PROTECTIONS}/remove`, named, PROTECTIONS)
  t.strictSame(await world.store.protections.list(), [])
  t.equal((await root.submit(`${PROTECTIONS}/remove`, named, PROTECTIONS)).status, 404)
  t.match(await world.store.audit.list({ action: 'protection', limit: 2 }), [{ via: 'web' }, { via: 'web' }])
})

t.test('it is explained who may do what, and by which rule', async (t) => {
  const { world, root } = await administration(t)
  await world.grant('alice', 'write', 'team/*')
  await world.store.protections.put(
    GATE_CONTEXT,
    { repositories: '**', refs: 'refs/heads/main', push: 'admin', force: 'nobody', delete: 'nobody' },
    world.now,
  )
  const ask = async (user: string, repository: string, ref = '') =>
    (await root.get(`/-/admin/explain?${new URLSearchParams({ user, repository, ref }).toString()}`)).body
  t.match(await ask('Alice', 'team/app.git'), /alice can clone, fetch and push.*grant 1 \(alice write team\/\*\)/s)
  t.match(await ask('alice', 'alice/x'), 'owner of alice/**')
  t.match(await ask('@anonymous', 'team/app'), /@anonymous can&#39;t see.*no grant/s)
  const main = await ask('alice', 'team/app', 'main')
  t.match(main, /rule 1.*no<\/span>\s*<strong>update<\/strong>.*only admins can push to it/s)
  t.match(await ask('alice', 'team/app', 'topic'), /yes<\/span>\s*<strong>force<\/strong>/)
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('alice')).id, 'blocked')
  t.match(
    await ask('alice', 'team/app'),
    /alice is blocked and can.{1,3}t use team\/app.*if unblocked, it can clone, fetch and push/s,
  )
  t.match(await ask('alice', 'team/app', 'topic'), 'the account is blocked')
  t.match(await ask('root', 'docs/nope'), 'exist yet')
  t.match(await ask('nobody', 'team/app'), 'There is no account')
  t.match(await ask('root', '../x'), 'is not a repository path')
  t.match(await ask('root', 'team/app', 'v*'), 'is a pattern; pass one ref')
})
