// What an attacker may try on the administration: getting in, forging forms, and names that are scripts.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'
import { administration, PASSWORD } from '../web/administration.js'

const READ = [
  '/-/admin',
  '/-/admin/users',
  '/-/admin/new_user',
  '/-/admin/users/alice',
  '/-/admin/users/alice/edit',
  '/-/admin/users/alice/password',
  '/-/admin/users/alice/impersonation_tokens',
  '/-/admin/users/alice/impersonation_tokens/new',
  '/-/admin/credentials',
  '/-/admin/grants',
  '/-/admin/protected_refs',
  '/-/admin/explain',
  '/-/admin/application_settings',
  '/-/admin/audit_logs',
]
const ACTS = ['block', 'unblock', 'reset_two_factor', 'delete'].map((act) => `/-/admin/users/alice/${act}`)
const CHANGE = [
  '/-/admin/users',
  ...ACTS,
  '/-/admin/users/alice/edit',
  '/-/admin/users/alice/password',
  '/-/admin/users/alice/impersonation_tokens',
  '/-/admin/users/alice/impersonation_tokens/preview',
  '/-/admin/users/alice/impersonation_tokens/preview/part',
  '/-/admin/users/alice/impersonation_tokens/2/revoke',
  '/-/admin/credentials/1/revoke',
  '/-/admin/grants',
  '/-/admin/grants/remove',
  '/-/admin/protected_refs',
  '/-/admin/protected_refs/remove',
  '/-/admin/application_settings',
  '/-/admin/audit_logs/verify',
]
const EVIL = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}<%= 7*7 %>`

t.test('who is no administrator is told that there are no such pages', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('mallory', PASSWORD)
  await world.issue('alice', ['api'], { name: 'own' })
  await world.issue('alice', ['api'], { name: 'agent', impersonation: true })
  await world.grant('alice', 'read', 'team/*')
  const mallory = new FormClient(world.url)
  await mallory.signIn('mallory', PASSWORD)
  const nowhere = (await mallory.get('/-/admin/nowhere')).body
  const strip = (body: string) => body.replace(/name="csrf_token" value="[^"]+"/g, '')
  const csrf_token = await mallory.csrfToken('/')
  const cookie = [...mallory.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  for (const path of new Set([...READ, ...CHANGE])) {
    for (const form of [path, `${path}/`, `${path}?page=1`]) {
      const answer = await mallory.get(form)
      t.equal(answer.status, 404, form)
      t.equal(strip(answer.body), strip(nowhere), 'and nothing differs from what is nowhere')
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) {
      const headers = { Accept: 'text/html', Cookie: cookie, 'Content-Type': 'application/x-www-form-urlencoded' }
      const fields = { csrf_token, username: 'alice', subject: 'alice', pattern: 'team/*', step: 'apply', head: '' }
      const body = ['HEAD', 'OPTIONS', 'DELETE'].includes(method) ? '' : new URLSearchParams(fields).toString()
      t.equal((await world.http(path, { method, headers, body })).status, 404, `${method} ${path}`)
    }
  }
  t.match(await world.account('alice'), { state: 'active' })
  t.equal((await world.store.grants.list()).length, 1)
  t.ok((await world.store.tokens.list({})).every(({ revokedAt }) => revokedAt === null))
  const stranger = new FormClient(world.url)
  for (const path of READ) t.match((await stranger.get(path)).headers['location'], '/users/sign_in', path)
  for (const path of CHANGE)
    t.match((await stranger.submit(path, {}, '/users/sign_in')).headers['location'], '/users/sign_in?from=ended')
})

t.test('the bar names the administration to administrators only', async (t) => {
  const { world, root } = await administration(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  await alice.signIn('alice', PASSWORD)
  t.match((await root.get('/')).body, 'href="/-/admin"')
  t.notMatch((await alice.get('/')).body, '/-/admin')
})

t.test('no form is taken without its token', async (t) => {
  const { world, root } = await administration(t)
  await world.issue('alice', ['api'], { name: 'own' })
  await world.grant('alice', 'read', 'team/*')
  const before = (await world.store.audit.head()).id
  for (const path of CHANGE) {
    const fields = { username: 'alice', subject: 'alice', pattern: 'team/*', current_password: PASSWORD, head: '' }
    t.equal((await root.send(path, fields)).status, 403, path)
    const csrf_token = await root.csrfToken('/')
    t.equal((await root.send(path, { ...fields, csrf_token }, { 'Sec-Fetch-Site': 'cross-site' })).status, 403, path)
  }
  t.equal((await world.store.audit.head()).id, before, 'nothing was changed')
})

t.test('an administrator who is none any more, or is blocked, has no pages from then on', async (t) => {
  const { world, root } = await administration(t)
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('root')).id, 'blocked')
  for (const path of READ) t.match((await root.get(path)).headers['location'], '/users/sign_in', path)
})

t.test('names are shown as they are, and do nothing', async (t) => {
  const { world, root } = await administration(t)
  const eve = await world.store.accounts.add(
    GATE_CONTEXT,
    { username: 'eve', name: EVIL, email: `eve'&x=1@example.com`, admin: false, passwordHash: null },
    world.now,
  )
  const draft = { name: EVIL, description: EVIL }
  const own = await world.issue('alice', ['api'], draft)
  const agent = await world.issue('alice', ['api'], { ...draft, impersonation: true })
  // Rules let in only what a path or a ref can be; what stands in the database may be older than the rules.
  await world.store.grants.put(GATE_CONTEXT, { subject: EVIL, role: 'read', pattern: EVIL }, world.now)
  const levels = { push: 'admin', force: 'nobody', delete: 'nobody' } as const
  await world.store.protections.put(GATE_CONTEXT, { repositories: EVIL, refs: EVIL, ...levels }, world.now)
  const named = (fields: Record<string, string>) => new URLSearchParams(fields).toString()
  const pages = [
    ...READ,
    '/',
    `/?${named({ search: EVIL })}`,
    `/-/admin/users/${eve.username}`,
    ...['block', 'delete', 'edit', 'password'].map((act) => `/-/admin/users/eve/${act}`),
    `/-/admin/users/alice/impersonation_tokens/new?${named({ name: EVIL, description: EVIL })}`,
    `/-/admin/users/alice/impersonation_tokens/${agent.token.id}/revoke`,
    `/-/admin/credentials/${own.token.id}/revoke`,
    `/-/admin/grants/remove?${named({ subject: EVIL, pattern: EVIL })}`,
    `/-/admin/protected_refs/remove?${named({ repositories: EVIL, refs: EVIL })}`,
    ...['users', 'credentials', 'grants', 'audit_logs', 'explain'].map(
      (place) => `/-/admin/${place}?${named({ search: EVIL, user: EVIL, repository: EVIL, ref: EVIL })}`,
    ),
  ]
  for (const page of pages) {
    const { body } = await root.get(page)
    t.notMatch(body, /<script>|<img|<b>|\{\{49|\son\w+=x/, page)
  }
  const forms: Record<string, Record<string, string>> = {
    '/-/admin/users': { username: EVIL, name: EVIL, email: EVIL, password: EVIL },
    '/-/admin/users/alice/edit': { name: EVIL, email: EVIL, was_name: '', was_email: '' },
    '/-/admin/grants': { subject: EVIL, role: EVIL, pattern: EVIL },
    '/-/admin/protected_refs': { repositories: EVIL, refs: EVIL, push: EVIL, force: EVIL, delete: EVIL },
    '/-/admin/users/alice/impersonation_tokens': {
      name: EVIL,
      description: EVIL,
      scopes: EVIL,
      expiry: EVIL,
      expires_on: EVIL,
      repositories: EVIL,
      refs: EVIL,
    },
  }
  for (const [path, fields] of Object.entries(forms)) {
    const { status, body } = await root.submit(path, { current_password: PASSWORD, ...fields }, '/-/admin/new_user')
    t.equal(status, 422, path)
    t.notMatch(body, /<script>|<img/, path)
    t.match(body, '&lt;script&gt;', path)
  }
  const list = '/-/admin/users/alice/impersonation_tokens'
  const wanted = { name: EVIL, scopes: 'api', current_password: PASSWORD }
  await root.submit(list, wanted, `${list}/new`)
  const { body } = await root.get(list)
  t.match(body, 'see it again')
  t.notMatch(body, /<script>|<img/, 'the name of a token that was just made')
})
