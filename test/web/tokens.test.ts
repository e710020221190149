// The form of a token: what it takes, what it refuses and why, and whom tokens belong to.
import t from 'tap'
import type { Person, World } from '../acceptance/world.js'
import { create, open, signedIn, TOKENS } from './token-forms.js'
import { DAY, utcDate } from '../../src/core/clock.js'

const SECRET = /<code id="token-secret">([^<]+)</
const ownTokens = async (world: World, person: Person = 'alice') =>
  world.store.tokens.list({ userId: (await world.account(person)).id })

t.test('a token is made with all that was typed, and its secret is shown once', async (t) => {
  const { world, alice } = await open(t)
  const answer = await create(alice, {
    name: ' nightly ',
    description: 'builds',
    scopes: 'write_repository',
    expiry: '90d',
    repositories: 'team/*\r\n\r\n  docs/** \r\nteam/*',
    refs: 'agent/*\r\nrefs/tags/v*:create,delete',
    max_pushes: '20',
    max_push_bytes: '50M',
  })
  t.match(answer, { status: 303, headers: { location: TOKENS } })
  const [token] = await ownTokens(world)
  t.match(token, {
    name: 'nightly',
    description: 'builds',
    scopes: ['write_repository'],
    restrictions: {
      repositories: ['team/*', 'docs/**'],
      refs: [
        { pattern: 'refs/heads/agent/*', verbs: ['create', 'update'] },
        { pattern: 'refs/tags/v*', verbs: ['create', 'delete'] },
      ],
    },
    budget: { pushes: 20, bytes: 50 * 1_024 ** 2 },
    issuedBy: 'alice',
  })
  t.equal(token!.expiresAt!.getTime(), world.now.getTime() + 90 * DAY)
  t.notMatch((await alice.head(TOKENS)).body, SECRET, 'who looks at headers uses nothing up')
  const shown = await alice.get(TOKENS)
  const secret = SECRET.exec(shown.body)![1]!
  t.match(shown.body, /team\/\*.*agent\/\*.*refs\/tags\/v\*.*\(create and delete\).*0 of 20 pushes.*0 of 50M pushed/s)
  t.match(shown.headers['cache-control'], 'no-store')
  t.notMatch((await alice.get(TOKENS)).body, secret)
  t.notMatch(world.log, secret)
  const reported = await world.store.audit.list({ action: 'token.created', limit: 10 })
  t.match(reported, [{ via: 'web', username: 'alice', target: `token:${token!.id}`, ip: '127.0.0.1' }])
})

t.test('a secret that nobody came to see is gone after three minutes, and for another session at once', async (t) => {
  const { world, alice } = await open(t)
  const other = await signedIn(world, 'alice')
  await create(alice, {})
  t.notMatch((await other.get(TOKENS)).body, SECRET)
  world.advance(3 * 60_000)
  t.notMatch((await alice.get(TOKENS)).body, SECRET)
})

t.test('all that is wrong is said at once, each where it is; what was typed stays', async (t) => {
  const { world, alice } = await open(t)
  const wrong = {
    name: ' ',
    description: 'x'.repeat(256),
    scopes: 'everything',
    expiry: 'date',
    expires_on: '2026-02-30',
    repositories: 'team/app\n../etc',
    refs: 'main:destroy',
    max_pushes: '-1',
    max_push_bytes: '12 parsecs',
  }
  const { status, body } = await create(alice, wrong)
  t.equal(status, 422)
  for (const problem of [
    'A token&#39;s name can&#39;t be blank.',
    'A description can have at most 255 characters',
    '&quot;everything&quot; is not a scope',
    '&quot;2026-02-30&quot; is not a date',
    '&quot;../etc&quot; is not a repository pattern',
    '&quot;destroy&quot; is not a verb',
    '&quot;-1&quot; is not a number of pushes',
    '&quot;12 parsecs&quot; is not a size',
  ])
    t.ok(body.includes(problem), problem)
  t.ok(body.includes('12 parsecs" '), 'stays')
  t.match((await alice.submit(TOKENS, { name: 'x' }, `${TOKENS}/new`)).body, 'A token needs at least one scope.')
  t.same(await ownTokens(world), [])
  t.equal((await alice.send(TOKENS, { name: 'x', scopes: 'api' })).status, 403, 'not without the form')
})

t.test('the policies: what is offered, and why a date is not allowed', async (t) => {
  const { world, alice } = await open(t)
  const offered = async () =>
    [...(await alice.get(`${TOKENS}/new`)).body.matchAll(/name="expiry" value="([^"]+)"( checked)?/g)].map(
      ([, value, checked]) => `${value!}${checked ?? ''}`,
    )
  const on = (days: number) => utcDate(new Date(world.now.getTime() + days * DAY))
  t.same(await offered(), ['7d', '30d checked', '60d', '90d', '365d', 'never', 'date'])
  t.match((await create(alice, { expiry: 'date', expires_on: on(0) })).body, 'has already begun (UTC)')

  await world.set('require_personal_access_token_expiry', 'true')
  t.notOk((await offered()).includes('never'))
  t.match((await create(alice, { expiry: 'never' })).body, 'Tokens must expire on this server; set an expiry date.')

  await world.set('max_personal_access_token_lifetime', '45')
  t.same(await offered(), ['7d', '30d checked', '45d', 'date'])
  const form = (await alice.get(`${TOKENS}/new`)).body
  t.match(form, `Tokens can last at most 45 days, until ${on(45)}.`)
  t.match(form, `max="${on(45)}"`)
  const refused = await create(alice, { expiry: 'date', expires_on: on(46) })
  t.match(refused.body, `Tokens must expire by ${on(45)} on this server (setting max_personal_access_token_lifetime).`)
  t.equal((await create(alice, { expiry: 'date', expires_on: on(45) })).status, 303)
  t.equal((await create(alice, { expiry: '45d' })).status, 303)
  await world.set('max_personal_access_token_lifetime', '3')
  t.same(await offered(), ['3d checked', 'date'])

  await world.set('disable_personal_access_tokens', 'true')
  for (const path of [TOKENS, `${TOKENS}/new`, `${TOKENS}/1/revoke`]) t.equal((await alice.get(path)).status, 404, path)
  const home = await alice.get('/')
  t.notMatch(home.body, TOKENS, 'nothing leads there')
})

t.test('an address fills in the form, as in GitLab', async (t) => {
  const { alice } = await open(t)
  const query = '?name=my%20%22tool%22&description=for%20it&scopes=read_api,unknown,write_repository,sudo'
  const answer = await alice.get(TOKENS + query)
  t.equal(answer.status, 303)
  const { body } = await alice.get(answer.headers['location'] as string)
  t.match(body, 'value="my &quot;tool&quot;"')
  t.match(body, 'value="for it"')
  const checked = [...body.matchAll(/name="scopes" value="(\w+)" checked/g)].map(([, scope]) => scope)
  t.same(checked, ['read_api', 'write_repository'], 'sudo is not offered')
})

t.test("nobody sees, rotates or revokes another's tokens, nor those that were made to act as them", async (t) => {
  const { world, alice } = await open(t)
  const own = await world.issue('alice', ['api'], { name: 'of alice' })
  const hidden = await world.issue('alice', ['api'], { name: 'puppet', impersonation: true })
  const mallory = await signedIn(world, 'mallory')
  const root = await signedIn(world, 'root')
  for (const [who, client, { token }] of [
    ['mallory', mallory, own],
    ['root', root, own],
    ['alice', alice, hidden],
  ] as const) {
    t.notMatch((await client.get(`${TOKENS}?state=all`)).body, token.name, who)
    for (const what of ['rotate', 'revoke']) {
      t.equal((await client.get(`${TOKENS}/${token.id}/${what}`)).status, 404, `${who} ${what}`)
      t.equal((await client.submit(`${TOKENS}/${token.id}/${what}`, {}, '/')).status, 404, `${who} ${what}`)
    }
    t.equal((await world.store.tokens.find(token.id))!.revokedAt, null)
  }
  t.equal((await alice.get(`${TOKENS}/99999/revoke`)).status, 404)
  t.equal((await alice.get(`${TOKENS}/x/revoke`)).status, 400)
})

t.test('names are text, whatever they hold', async (t) => {
  const { world, alice } = await open(t)
  const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>{{7*7}}<%= 7 %>`
  await create(alice, { name: evil, description: evil })
  const [token] = await ownTokens(world)
  t.equal(token!.name, evil)
  const paths = [TOKENS, `${TOKENS}?search=${encodeURIComponent(evil)}`, `${TOKENS}/${token!.id}/revoke`]
  const prefilled = `${TOKENS}/new?${new URLSearchParams({ name: evil, description: evil }).toString()}`
  for (const path of [...paths, `${TOKENS}/${token!.id}/rotate`, prefilled]) {
    const { body, status } = await alice.get(path)
    t.equal(status, 200)
    t.notMatch(body, /<script>|<img/, path)
    t.ok(body.includes('&lt;script&gt;alert(1)&lt;/script&gt;'), path)
  }
  const tried = { name: evil, scopes: 'write_repository', repositories: evil, refs: evil, try_ref: evil }
  const part = await alice.submit(`${TOKENS}/preview/part`, tried, `${TOKENS}/new`)
  t.notMatch(part.body, /<script>|<img/)
})

t.test('what is too long is named, whether typed or in an address', async (t) => {
  const { alice } = await open(t)
  const long = await create(alice, { repositories: 'team/app\n'.repeat(2_000) })
  t.equal(long.status, 400)
  t.match(long.body, 'The field &quot;repositories&quot; is limited to 10,000 characters. Go back and shorten it.')
  const search = await alice.get(`${TOKENS}?search=${'x'.repeat(1_001)}`)
  t.match(search.body, 'The field &quot;search&quot; is limited to 1,000 characters.')
})

t.test('the address that a form was sent to leads to its page when it is opened again', async (t) => {
  const { alice } = await open(t)
  for (const [path, page] of [
    [`${TOKENS}/preview?a=b`, TOKENS],
    ['/-/user_settings/two_factor_auth/disable', '/-/user_settings/two_factor_auth'],
    ['/-/user_settings/active_sessions/end_others', '/-/user_settings/active_sessions'],
    ['/-/user_settings/active_sessions/5/end', '/-/user_settings/active_sessions'],
  ] as const)
    t.equal((await alice.get(path)).headers['location'], page, path)
  t.equal((await alice.get(`${TOKENS}/nothing`)).status, 404)
})
