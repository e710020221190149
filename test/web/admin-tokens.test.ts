// Everybody's tokens, impersonation tokens, and the overview, in the browser.
import t from 'tap'
import { auditEvent, THE_GATE } from '../../src/domain/audit/event.js'
import { DAY } from '../../src/core/clock.js'
import { parseRestrictions } from '../../src/domain/tokens/restriction.js'
import { FormClient } from '../pages/form-client.js'
import { administration, PASSWORD } from './administration.js'

const PATH = '/-/admin/credentials'

/** The names of tokens in a list. */
const namesIn = (body: string): string[] =>
  [...body.matchAll(/<strong>([^<]+)<\/strong>\s*<span class="quiet">#/g)].map(([, name]) => name!)

t.test('tokens are filtered in the store, have pages, and are revoked after a question', async (t) => {
  const { world, root } = await administration(t)
  const inDays = (days: number) => new Date(world.now.getTime() + days * DAY)
  await world.issue('alice', ['api'], { name: 'for ever' })
  await world.issue('alice', ['read_repository'], { name: 'soon over', expiry: inDays(100) })
  await world.issue('mallory', ['api'], { name: 'agent', expiry: inDays(400), impersonation: true })
  const short = await world.issue('mallory', ['api'], { name: 'short', expiry: inDays(1) })
  world.advance(91 * DAY)
  await root.signIn('root', PASSWORD)
  await world.issue('alice', ['api'], { name: 'new', expiry: inDays(200) })
  const list = async (query: string) => namesIn((await root.get(`${PATH}?${query}`)).body)
  t.strictSame(await list(''), ['new', 'agent', 'soon over', 'for ever'])
  t.strictSame(await list('state=inactive'), ['short'])
  t.strictSame(await list('show=unused'), ['agent', 'soon over', 'for ever'])
  t.strictSame(await list('show=never_expires'), ['for ever'])
  t.strictSame(await list('show=expiring'), ['soon over'])
  t.strictSame(await list('kind=impersonation'), ['agent'])
  t.strictSame(await list('kind=personal&user=ALICE&search=EVER'), ['for ever'])
  t.strictSame(await list('user=nobody'), [])
  t.equal((await root.get(`${PATH}?show=odd`)).status, 400)
  await world.store.tokens.recordUses([{ tokenId: 1, at: new Date(world.now.getTime() - DAY), ip: '10.0.0.1' }], () => [
    '10.0.0.1',
  ])
  t.strictSame(await list('show=unused'), ['agent', 'soon over'], 'what was used is not unused')

  const [{ id } = { id: 0 }] = await world.store.tokens.list({ userId: (await world.account('mallory')).id })
  t.match((await root.get(`${PATH}/${id}/revoke`)).body, /Revoke the token .*agent.*mallory/s)
  t.equal((await world.store.tokens.find(id))?.revokedAt, null, 'to look changes nothing')
  t.equal((await root.submit(`${PATH}/${id}/revoke`, {})).headers['location'], PATH)
  t.ok((await world.store.tokens.find(id))?.revokedAt)
  const [row] = await world.store.audit.list({ action: 'token.revoked', limit: 1 })
  t.match(row, { via: 'web', username: 'root', target: `token:${id}` })
  for (const odd of [short.token.id + 100, 0, 'x'])
    t.ok([400, 404].includes((await root.submit(`${PATH}/${odd}/revoke`, {}, PATH)).status))
  for (let number = 0; number < 22; number += 1) await world.issue('alice', ['api'], { name: `t${number}` })
  t.equal((await list('')).length, 20)
  t.equal((await list('search=t&page=2')).length, 2)
})

t.test('it is told what a token could do without', async (t) => {
  const { world, root } = await administration(t)
  const { token } = await world.issue('alice', ['api'], { name: 'wide' })
  for (const name of ['a', 'b', 'c', 'd']) await world.createRepository(`alice/${name}`)
  await world.store.tokens.recordUses([{ tokenId: token.id, at: world.now, ip: '10.0.0.1' }], (_ips, ip) => [ip])
  await world.store.audit.record([
    auditEvent({ ...THE_GATE, via: 'git', username: 'alice', tokenId: token.id }, world.now, {
      action: 'git.fetch',
      repository: 'alice/a',
    }),
  ])
  world.advance(2 * DAY)
  await root.signIn('root', PASSWORD)
  const { body } = await root.get(PATH)
  t.match(body, 'over-privileged: can write 4 repositories, used 1')
  t.match(body, 'can push, but never did')
  t.match(body, '10.0.0.1')
  const [, path = ''] = /href="(\/-\/admin\/credentials\/\d+\/revoke)"/.exec(body) ?? []
  t.match((await root.get(path)).body, /Use in the last 30 days.*alice\/a.*fetched 1/s, 'told before it is revoked')
  const list = async (query = '') => namesIn((await root.get(`${PATH}?show=wider${query}`)).body)
  t.strictSame(await list(), ['wide'])
  t.strictSame(await list('&user=mallory'), [])
  for (let number = 0; number < 25; number += 1) {
    const { token } = await world.issue('alice', ['api'], { name: `t${number}` })
    await world.store.tokens.recordUses([{ tokenId: token.id, at: world.now, ip: '10.0.0.1' }], (_ips, ip) => [ip])
  }
  await world.issue('alice', ['api'], { name: 'limited', restrictions: parseRestrictions(['alice/a'], []) })
  t.strictSame(await list(), ['wide'], 'what was made a moment ago had no time to be used')
  world.advance(2 * DAY)
  await root.signIn('root', PASSWORD)
  t.equal((await list()).length, 20)
  t.equal((await list('&page=2')).length, 6)
  t.match((await root.get(`${PATH}?show=wider&page=2`)).body, /21.{1,3}26 of 26/)
  t.strictSame(await list('&search=t24'), ['t24'])
  await root.submit(`${PATH}/${token.id}/revoke`, {})
  t.equal((await list('&page=2')).length, 5, 'what was revoked is gone at once')
})

t.test('an impersonation token is made, shown once, and revoked', async (t) => {
  const { world, root } = await administration(t)
  const path = '/-/admin/users/alice/impersonation_tokens'
  const form = `${path}/new`
  const plain = { name: 'agent', scopes: 'write_repository', expiry: '90d', current_password: PASSWORD }
  const refused: Record<string, Record<string, string>> = {
    'Wrong password.': { current_password: 'not it' },
    'can&#39;t be blank': { name: ' ' },
    'is not a date': { expiry: 'date', expires_on: '2026-02-30' },
    'has already begun': { expiry: 'date', expires_on: '2020-01-01' },
    'is not a repository pattern': { repositories: '../x' },
    'is not a ref pattern': { refs: 'a..b' },
    'Only administrators can have the scope sudo': { scopes: 'sudo' },
    'is not a scope': { scopes: 'everything' },
    'is not a number of pushes': { max_pushes: '-1' },
  }
  for (const [words, fields] of Object.entries(refused)) {
    const answer = await root.submit(path, { ...plain, ...fields }, form)
    t.equal(answer.status, 422, words)
    t.match(answer.body, words)
    t.notMatch(answer.body, PASSWORD)
  }
  t.match(
    (await root.submit(path, { name: 'x', current_password: PASSWORD }, form)).body,
    'A token needs at least one scope',
  )
  t.strictSame(await world.store.tokens.list({}), [])
  await world.set('max_personal_access_token_lifetime', '45')
  t.match((await root.get(form)).body, 'Tokens can last at most 45 days')
  t.match((await root.submit(path, plain, form)).body, 'Tokens must expire by')
  await world.set('max_personal_access_token_lifetime', 'null')
  await world.set('disable_personal_access_tokens', 'true')
  t.match((await root.submit(path, plain, form)).body, 'Personal access tokens are disabled on this server')
  await world.set('disable_personal_access_tokens', 'false')

  const limits = { repositories: 'alice/*\nteam/app', refs: 'agent/*:create,update', max_pushes: '20' }
  const made = await root.submit(path, { ...plain, ...limits }, form)
  t.equal(made.headers['location'], path)
  const other = new FormClient(world.url)
  await other.signIn('root', PASSWORD)
  t.notMatch((await other.get(path)).body, 'ggpat-', 'to the session that made it')
  t.notMatch((await root.get('/-/admin/users/mallory/impersonation_tokens')).body, 'ggpat-')
  const shown = (await root.get(path)).body
  const [secret = ''] = /ggpat-\w{36}/.exec(shown) ?? []
  t.match(shown, /You won.{1,3}t see it again.*git clone http:\/\/alice@.*credential/s)
  t.notMatch((await root.get(path)).body, 'ggpat-', 'once')
  t.notMatch(world.log, secret)
  const [token] = await world.store.tokens.list({})
  t.match(token, {
    name: 'agent',
    impersonation: true,
    issuedBy: 'root',
    restrictions: { repositories: ['alice/*', 'team/app'] },
    budget: { pushes: 20 },
    expiresAt: new Date(world.now.getTime() + 90 * DAY),
  })
  const caller = await world.http('/api/v4/personal_access_tokens/self', { headers: { 'PRIVATE-TOKEN': secret } })
  t.equal(caller.status, 200, 'it works')

  const own = await world.issue('alice', ['api'], { name: 'own' })
  const theirs = await world.issue('mallory', ['api'], { name: 'theirs', impersonation: true })
  for (const { id } of [own.token, theirs.token]) {
    t.equal((await root.get(`${path}/${id}/revoke`)).status, 404)
    t.equal((await root.submit(`${path}/${id}/revoke`, {}, path)).status, 404)
    t.equal((await world.store.tokens.find(id))?.revokedAt, null)
  }
  t.match((await root.get(`${path}/${token!.id}/revoke`)).body, /Revoke the token .*agent/)
  await root.submit(`${path}/${token!.id}/revoke`, {})
  t.ok((await world.store.tokens.find(token!.id))?.revokedAt)
  await world.set('impersonation_enabled', 'false')
  t.match((await root.get(path)).body, 'so these tokens are refused')
})

t.test('the preview of an impersonation token is of what its account reaches', async (t) => {
  const { world, root } = await administration(t)
  const path = '/-/admin/users/alice/impersonation_tokens'
  for (const repository of ['alice/own', 'root/hidden', 'team/app', 'team/other'])
    await world.createRepository(repository)
  await world.grant('alice', 'read', 'team/*')
  const fields = { name: 'x', scopes: 'write_repository', repositories: 'team/*', refs: 'agent/*', try_ref: 'main' }
  for (const where of ['/preview', '/preview/part']) {
    const { status, body } = await root.submit(path + where, fields, `${path}/new`)
    t.equal(status, 200)
    t.match(body, /<strong>2<\/strong> of alice.{1,3}s 3 repositories.*team\/app.*team\/other/s)
    t.match(body, /Pushing to .*refs\/heads\/main.* in .*team\/app/s)
    t.notMatch(body, 'root/hidden')
  }
  t.match(
    (await root.get(`${path}/new`)).body,
    /Leave empty for every repository alice can read\..*alice can push to\./s,
  )
  t.equal((await root.get('/-/admin/users/nobody/impersonation_tokens/new')).status, 404)
  t.strictSame(await world.store.tokens.list({}), [])
})

t.test('the overview counts, and each number leads to its list', async (t) => {
  const { world, root } = await administration(t)
  await world.issue('alice', ['api'], { name: 'for ever' })
  await world.issue('alice', ['api'], { name: 'soon over', expiry: new Date(world.now.getTime() + 3 * DAY) })
  const refusal = { action: 'auth.refused', decision: 'refused' } as const
  await world.store.audit.record([
    auditEvent(THE_GATE, world.now, refusal),
    auditEvent(THE_GATE, world.now, { ...refusal, details: { repeated: 7 } }),
    auditEvent(THE_GATE, new Date(world.now.getTime() - 2 * DAY), refusal),
  ])
  const { body } = await root.get('/-/admin')
  const numbers = [...body.matchAll(/href="([^"]+)">\s*<strong class="\w*">([^<]+)<\/strong>/g)]
  t.strictSame(
    numbers.map(([, , number]) => number),
    ['3', '3', '2', '1', '1', '8'],
  )
  for (const [, href = ''] of numbers) t.equal((await root.get(href.replaceAll('&amp;', '&'))).status, 200, href)
  t.match(body, 'gitgate 0.1.0')
})
