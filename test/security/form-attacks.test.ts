import type { Test } from 'tap'
import t from 'tap'
import { parseForm } from '../../src/api/rest/parameters.js'
import { answerTo } from '../acceptance/http-client.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'

// Attack: `POST /api/v4/users` without a token, with the form `a[]&a[]&…` (256 KB). The parser copied its list for each entry,
// before anybody was authenticated, and blocked the gate for two minutes. Queries and unknown paths did the same.

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' }
const HTML = { Accept: 'text/html' }
const LONG_FORM = 'a[]&'.repeat(65_500)

t.test('a form is parsed in time linear in its size', async (t) => {
  const timeOf = (count: number): number => {
    const text = 'a[]&'.repeat(count)
    const started = performance.now()
    t.equal((parseForm(text)['a'] as string[]).length, count)
    return performance.now() - started
  }
  timeOf(1_000)
  // Quadratic parsing takes about a minute for this.
  t.ok(timeOf(64_000) < 2_000)
})

t.test('brackets name lists, as in GitLab', async (t) => {
  t.strictSame(parseForm('scopes[]=api&scopes[]=sudo&a=1&a=2&b[0]=x&b[1]=y&c&d[]'), {
    scopes: ['api', 'sudo'],
    a: '2',
    b: ['x', 'y'],
    c: '',
    d: [''],
  })
  t.strictSame(parseForm('__proto__[]=1&[[[[=2'), { '[[[[': '2' })
})

t.test('without a credential no body is awaited', async (t) => {
  const world = await createWorld(t)
  const length = { 'Content-Length': String(LONG_FORM.length) }
  for (const [path, headers, status] of [
    ['/api/v4/users', FORM, 401],
    ['/api/v4/users', { 'Content-Type': 'application/json' }, 401],
    ['/api/v4/users', { 'Content-Type': 'multipart/form-data; boundary=x' }, 401],
    ['/api/v4/users?private_token=wrong', FORM, 401],
    ['/api/v4/users', { ...FORM, 'PRIVATE-TOKEN': 'wrong' }, 401],
    ['/api/v4/unknown', FORM, 404],
    ['/api/v4/version', FORM, 405],
    ['/api/graphql', { 'Content-Type': 'application/json' }, 413],
    ['/api/graphql', { 'Content-Type': 'application/json', 'PRIVATE-TOKEN': 'wrong' }, 401],
    ['/-/user_settings/password', { ...FORM, ...HTML }, 303],
    ['/unknown', { ...FORM, ...HTML }, 404],
    ['/unknown', FORM, 404],
    ['/users/sign_in', { ...FORM, ...HTML }, 413],
    ['/users/sign_in/two_factor', { ...FORM, ...HTML }, 413],
    ['/users/sign_out', { ...FORM, ...HTML }, 413],
    ['/alice/app.git/git-receive-pack', { 'Content-Type': 'application/x-git-receive-pack-request' }, 401],
  ] as const) {
    t.match(await head(world, path, { ...headers, ...length }), new RegExp(`^HTTP/1.1 ${status} `), path)
    // A chunked sign-in is read until it is too long.
    if (path.startsWith('/users/')) continue
    const chunked = await head(world, path, { ...headers, 'Transfer-Encoding': 'chunked' })
    t.match(chunked, new RegExp(`^HTTP/1.1 ${status} `), `${path}, chunked`)
  }
})

t.test('a client that waits for 100 Continue is asked for its body only when it is authenticated', async (t) => {
  const world = await createWorld(t)
  const expecting = { ...FORM, 'Content-Length': '20', Expect: '100-continue' }
  const token = await world.token('root', 'api')
  t.match(await head(world, '/api/v4/users', { ...expecting, 'PRIVATE-TOKEN': 'wrong' }), /^HTTP\/1.1 401 /)
  t.match(await head(world, '/api/v4/users', { ...expecting, 'PRIVATE-TOKEN': token }), /^HTTP\/1.1 100 /)
})

t.test('queries and forms have a thousand parameters at most', async (t) => {
  const world = await createWorld(t)
  const token = { 'PRIVATE-TOKEN': await world.token('root', 'api') }
  const many = 'a[]&'.repeat(1_000)
  for (const path of ['/api/v4/users', '/api/v4/unknown', '/api/graphql', '/', '/users/sign_in', '/a.git/info/refs'])
    for (const headers of [{}, HTML]) await refuses(t, world, `${path}?${many}`, { headers: { ...token, ...headers } })
  await refuses(t, world, '/api/v4/users', { method: 'POST', headers: { ...token, ...FORM }, body: many })
  await refuses(t, world, '/users/sign_in', { method: 'POST', headers: { ...HTML, ...FORM }, body: many })

  const fits = await world.http(`/api/v4/user?${'a[]&'.repeat(999)}`, { headers: token })
  t.equal(fits.status, 200, 'a thousand are taken')
})

t.test('a short body may hold the token, as in GitLab', async (t) => {
  const world = await createWorld(t)
  const token = await world.token('root', 'api')
  const body = `private_token=${token}&username=bob&name=Bob`
  t.equal((await world.http('/api/v4/users', { method: 'POST', headers: FORM, body })).status, 201)
  const long = `${body.replace('bob', 'eve')}&x=${'x'.repeat(16_384)}`
  t.equal((await world.http('/api/v4/users', { method: 'POST', headers: FORM, body: long })).status, 401)
})

async function refuses(t: Test, world: World, path: string, options: Parameters<World['http']>[1]): Promise<void> {
  const { status } = await world.http(path, options)
  t.equal(status, 400, path.slice(0, 40))
}

/** Sends the head of a POST, and no byte of its body. @returns what is answered to that */
async function head({ url }: World, path: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return await answerTo(url, `POST ${path} HTTP/1.1\r\nHost: x\r\n${lines.join('')}\r\n`)
}
