// What an attacker may try on the pages: forging requests, planting a session, framing, redirecting, and other people's ids.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { createWorld } from '../acceptance/world.js'
import { FormClient } from '../pages/form-client.js'

const PASSWORD = 'correct horse battery'
const SESSION = 'gitgate_session'
const HOME = '/'

const signedIn = async (t: Parameters<typeof createWorld>[0]) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const alice = new FormClient(world.url)
  t.equal((await alice.signIn('alice', PASSWORD)).headers['location'], HOME)
  return { world, alice }
}

t.test('a form of another site changes nothing', async (t) => {
  const { world, alice } = await signedIn(t)
  const token = await alice.csrfToken('/-/user_settings/password')
  const fields = {
    current_password: PASSWORD,
    password: 'a new long password',
    password_confirmation: 'a new long password',
  }
  const send = (csrf: object, headers = {}) => alice.send('/-/user_settings/password', { ...fields, ...csrf }, headers)
  t.equal((await send({})).status, 403, 'without a token')
  for (const csrf_token of ['', 'x', 'A'.repeat(86), `${token.slice(0, -2)}AA`])
    t.equal((await send({ csrf_token })).status, 403, 'with a made-up token')

  const mallory = new FormClient(world.url)
  t.equal(
    (await send({ csrf_token: await mallory.csrfToken('/users/sign_in') })).status,
    403,
    "with a stranger's token",
  )
  await world.setPassword('mallory', PASSWORD)
  await mallory.signIn('mallory', PASSWORD)
  const theirs = await mallory.csrfToken('/-/user_settings/password')
  t.equal((await send({ csrf_token: theirs })).status, 403, "with the attacker's own token")
  for (const site of ['cross-site', 'same-site'])
    t.equal((await send({ csrf_token: token }, { 'Sec-Fetch-Site': site })).status, 403, `sent ${site}`)
  t.equal(
    (await send({ csrf_token: token }, { 'Content-Type': 'text/plain' })).status,
    400,
    'of a type that needs no form',
  )
  t.equal((await alice.get('/')).status, 200, 'the session is as it was')
  t.equal((await new FormClient(world.url).signIn('alice', PASSWORD)).status, 303, 'and the password')
})

t.test('nobody is signed in as somebody else without knowing (login CSRF)', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('mallory', PASSWORD)
  const victim = new FormClient(world.url)
  const mallory = new FormClient(world.url)
  const csrf_token = await mallory.csrfToken('/users/sign_in')
  const forged = await victim.send('/users/sign_in', { login: 'mallory', password: PASSWORD, csrf_token })
  t.equal(forged.status, 403)
  t.notOk(victim.cookies.has(SESSION))
})

t.test('a session that was planted is not the one that gets signed in', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  await world.setPassword('mallory', PASSWORD)
  const mallory = new FormClient(world.url)
  await mallory.signIn('mallory', PASSWORD)
  const planted = mallory.cookies.get(SESSION)!

  const alice = new FormClient(world.url)
  alice.cookies.set(SESSION, 'x'.repeat(43))
  await alice.signIn('alice', PASSWORD)
  t.not(alice.cookies.get(SESSION), 'x'.repeat(43), 'one that was made up')

  const next = new FormClient(world.url)
  next.cookies.set(SESSION, planted)
  // Whoever is signed in already is sent on; they see whose session it is, sign out, and sign in.
  await next.submit('/users/sign_out', {}, '/users/sign_out')
  await next.signIn('alice', PASSWORD)
  t.not(next.cookies.get(SESSION), planted)
  t.equal((await mallory.get('/')).status, 303, 'the planted one is over')
})

t.test('signing in leads nowhere else', async (t) => {
  const world = await createWorld(t)
  await world.setPassword('alice', PASSWORD)
  const elsewhere = [
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '\\\\evil.example',
    'javascript:alert(1)',
    'evil.example',
    '/%0d%0aLocation:x\r\nX: y',
    ' //evil.example',
  ]
  for (const return_to of elsewhere) {
    const client = new FormClient(world.url)
    const answer = await client.signIn('alice', PASSWORD, { return_to })
    t.equal(answer.headers['location'], HOME, JSON.stringify(return_to))
    t.equal((await client.get(`/users/sign_in?return_to=${encodeURIComponent(return_to)}`)).headers['location'], HOME)
  }
  const client = new FormClient(world.url)
  t.equal(
    (await client.get('/-/user_settings/password?a=b')).headers['location'],
    '/users/sign_in?return_to=%2F-%2Fuser_settings%2Fpassword%3Fa%3Db',
  )
  const back = await client.signIn('alice', PASSWORD, { return_to: '/-/user_settings/password?a=b' })
  t.equal(back.headers['location'], '/-/user_settings/password?a=b')
})

t.test('what a page is sent with', async (t) => {
  const { alice } = await signedIn(t)
  for (const path of ['/', '/users/sign_in', '/-/user_settings/two_factor_auth', '/-/nowhere', '/%ff']) {
    const { headers } = await alice.get(path)
    const policy = String(headers['content-security-policy'])
    t.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'.*base-uri 'none'/, path)
    t.notMatch(policy, /unsafe|\*|https?:/)
    t.match(headers, {
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': 'no-store',
    })
  }
  const { body } = await alice.get('/')
  t.notMatch(body, /<script>|\son\w+=|\sstyle=|<style/, 'nothing that the policy would forbid')
  const style = /href="([^"]+\.css)"/.exec(body)?.[1] ?? ''
  const asset = await alice.get(style, { Accept: 'text/css' })
  t.match(asset.headers, { 'cache-control': /immutable/, 'content-type': 'text/css; charset=utf-8' })
  t.notOk(asset.headers['set-cookie'])
  for (const path of ['/-/assets/0000000000000000/gitgate.css', '/-/assets/x/..%2f..%2fapp.ts', '/-/assets/'])
    t.equal((await alice.get(path)).status, 404, path)
})

t.test('the session is in a cookie that scripts and plain HTTP do not get', async (t) => {
  const plain = await createWorld(t)
  await plain.setPassword('alice', PASSWORD)
  const first = await new FormClient(plain.url).signIn('alice', PASSWORD)
  t.match(String(first.headers['set-cookie']), /gitgate_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax/)

  const world = await createWorld(t, { publicUrl: 'https://git.example.com' })
  await world.setPassword('alice', PASSWORD)
  const client = new FormClient(world.url)
  const cookies = String((await client.signIn('alice', PASSWORD)).headers['set-cookie'])
  t.match(cookies, /__Host-gitgate_session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax/)
  t.notMatch(cookies, /Domain=/i)
  const value = client.cookies.get('__Host-gitgate_session')!
  client.cookies.clear()
  client.cookies.set(SESSION, value)
  t.equal(
    (await client.get('/')).status,
    303,
    'under the other name, which a subdomain could set, it counts for nothing',
  )
})

t.test("other people's sessions can not be ended", async (t) => {
  const { world, alice } = await signedIn(t)
  await world.setPassword('mallory', PASSWORD)
  const mallory = new FormClient(world.url)
  await mallory.signIn('mallory', PASSWORD)
  const [session] = await world.store.sessions.list((await world.account('alice')).id)
  for (const id of [session!.id, 999, 0, -1, 'x', '1e1']) {
    const answer = await mallory.submit(`/-/user_settings/active_sessions/${id}/end`, {}, '/-/user_settings/password')
    t.ok([400, 404].includes(answer.status), String(id))
  }
  t.equal((await alice.get('/')).status, 200)
})

t.test('names are shown as they are, and do nothing', async (t) => {
  const world = await createWorld(t)
  const name = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}<%= 7*7 %>`
  await world.store.accounts.add(
    GATE_CONTEXT,
    { username: 'eve', name, email: `eve'&x=1@example.com`, admin: false, passwordHash: null },
    world.now,
  )
  await world.setPassword('eve' as 'alice', PASSWORD)
  const eve = new FormClient(world.url)
  await eve.signIn('eve', PASSWORD)
  for (const path of ['/', '/-/user_settings/password']) {
    const { body } = await eve.get(path, { 'User-Agent': '<script>alert(2)</script>' })
    t.notMatch(body, /<script>|<img/)
    t.match(body, '&lt;script&gt;')
  }
  const { body } = await new FormClient(world.url).signIn('"><script>alert(1)</script>', 'x')
  t.notMatch(body, '<script>alert')
})

t.test('what signing in costs tells nothing, and what was typed is not kept', async (t) => {
  const { world } = await signedIn(t)
  const token = await world.token('alice', 'api')
  const client = new FormClient(world.url)
  const known = await client.signIn('alice', 'a guess that fails')
  const unknown = await client.signIn('nobody', 'a guess that fails')
  const strip = (body: string) => body.replace(/value="[^"]*"|passwd \w+/g, '')
  t.equal(strip(known.body), strip(unknown.body), 'whether there is such an account')
  t.match((await client.signIn('alice', token)).body, 'This is a token.')
  t.notMatch(known.body, 'a guess that fails')
  t.notMatch(world.log, /a guess that fails|correct horse/)
  t.notMatch(world.log, token)
  t.notMatch(world.log, client.cookies.get('gitgate_visit')!)
})
