import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { basic, raw } from './http-client.js'
import { until } from './until.js'
import type { Test } from 'tap'
import { enableTwoFactor, enrol } from '../../src/domain/accounts/two-factor.js'
import { Passwords } from '../../src/domain/accounts/password.js'
import { DAY, HOUR } from '../../src/core/clock.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

// The rest of GitLab's decision table: states of tokens and accounts, bans, and requests that are not Git's.

const PULL = '/team/app.git/info/refs?service=git-upload-pack'
const PUSH = '/team/app.git/info/refs?service=git-receive-pack'

async function populate(t: Test): Promise<World> {
  const world = await createWorld(t)
  await world.seedRepository('team/app')
  await world.grant('alice', 'write', 'team/**')
  return world
}

t.test('row 25: a token is over from the day it expires on, in UTC', async (t) => {
  const world = await populate(t)
  const tomorrow = new Date(Math.ceil(world.now.getTime() / DAY) * DAY)
  const { secret } = await world.issue('alice', ['api'], { expiry: tomorrow })
  const password = secret.reveal()
  t.equal((await world.http(PULL, { password })).status, 200)
  world.advance(tomorrow.getTime() - world.now.getTime() - 1)
  t.equal((await world.http(PULL, { password })).status, 200, 'one millisecond before midnight')
  world.advance(1)
  const over = await world.http(PULL, { password })
  t.equal(over.status, 401)
  t.equal(over.headers['www-authenticate'], 'Basic realm="GitGate", charset="UTF-8"')
  await world.set('enforce_pat_expiration', 'false')
  t.equal((await world.http(PULL, { password })).status, 200, 'expiry not enforced')
})

t.test('rows 26, 27, 13d: revoked, blocked and unblocked, from the next request on', async (t) => {
  const world = await populate(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const ask = async () => (await world.http(PUSH, { password: secret.reveal() })).status
  t.equal(await ask(), 200)
  await world.store.accounts.setState(GATE_CONTEXT, token.userId, 'blocked')
  t.equal(await ask(), 401)
  await world.store.accounts.setState(GATE_CONTEXT, token.userId, 'active')
  t.equal(await ask(), 200)
  await world.store.grants.remove(GATE_CONTEXT, 'alice', 'team/**')
  t.equal(await ask(), 404)
  await world.grant('alice', 'read', 'team/**')
  t.equal(await ask(), 403)
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  t.equal(await ask(), 401)
})

t.test('rows 11, 12: with two-factor on, a right password is told to use a token', async (t) => {
  const world = await populate(t)
  await world.setPassword('alice', 'correct horse battery')
  const alice = await world.account('alice')
  const passwords = new Passwords(() => world.now, { cost: 4 })
  await enableTwoFactor(world.store.twoFactors, GATE_CONTEXT, passwords, alice, enrol(alice, 'gitgate'), world.now)
  for (const path of [PULL, PUSH]) {
    const answer = await world.http(path, { user: 'alice', password: 'correct horse battery' })
    t.equal(answer.status, 401)
    // Without a challenge, JGit and libgit2 don't show the text.
    t.equal(answer.headers['www-authenticate'], 'Basic realm="GitGate", charset="UTF-8"')
    t.match(answer.body, /read_repository/)
    t.match(answer.body, /write_repository/)
    t.ok(answer.body.includes(`${world.url}/-/user_settings/personal_access_tokens`), 'says where to make one')
    t.equal(
      (await world.http(path, { user: 'alice', password: 'wrong' })).headers['www-authenticate'],
      'Basic realm="GitGate", charset="UTF-8"',
    )
  }
  t.equal((await world.http(PUSH, { password: await world.token('alice', 'write_repository') })).status, 200, 'row 15')
  t.match((await world.http('/-/user_settings/personal_access_tokens')).body, /gitgate token create/)
  t.equal(
    (await world.http('/-/profile/personal_access_tokens')).headers['location'],
    '/-/user_settings/personal_access_tokens',
  )
})

t.test('rows 34, 35, 37: the username beside a token is ignored, or is the token', async (t) => {
  const world = await populate(t)
  const secret = await world.token('alice', 'api')
  for (const user of ['root', 'mallory', 'oauth2', 'x-token-auth', '', 'no such user']) {
    t.equal((await world.http(PULL, { user, password: secret })).status, 200, `user ${user}`)
  }
  for (const password of ['', 'x-oauth-basic']) {
    t.equal((await world.http(PULL, { user: secret, password })).status, 200)
  }
})

t.test('rows 56, 57: impersonation tokens, while impersonation is on', async (t) => {
  const world = await populate(t)
  const { secret } = await world.issue('alice', ['write_repository'], { impersonation: true })
  t.equal((await world.http(PUSH, { password: secret.reveal() })).status, 200)
  await world.set('impersonation_enabled', 'false')
  t.equal((await world.http(PUSH, { password: secret.reveal() })).status, 401)
})

t.test('personal access tokens can be switched off', async (t) => {
  const world = await populate(t)
  const secret = await world.token('alice', 'api')
  await world.set('disable_personal_access_tokens', 'true')
  const answer = await world.http(PULL, { password: secret })
  t.equal(answer.status, 401)
  t.match(answer.body, /tokens are disabled/)
})

t.test('row 55: an address that keeps failing is banned, whatever it then sends', async (t) => {
  const world = await populate(t)
  await world.set('git_basic_auth_ip_allowlist', '')
  await world.set('git_basic_auth_maxretry', '3')
  await world.grant('@anonymous', 'read', 'team/app')
  const password = await world.token('alice', 'api')
  const fail = async () => (await world.http(PULL, { user: 'alice', password: 'wrong' })).status

  await world.setPassword('alice', 'correct horse battery')
  t.same([await fail(), await fail()], [401, 401])
  const right = { user: 'alice', password: 'correct horse battery' }
  t.equal((await world.http(PULL, right)).status, 200, 'a success clears the count of its login')
  t.same([await fail(), await fail()], [401, 401])
  t.equal((await world.http(PULL, { password })).status, 200, 'a good token clears no guesses at passwords')
  t.same([await fail(), await fail()], [401, 403])
  const banned = await world.http(PULL, { password })
  t.equal(banned.status, 403)
  t.equal(banned.body, 'Too many failed authentication attempts from this IP')
  t.equal((await world.http(PULL)).status, 200, 'anonymous reading goes on')
  await world.set('git_basic_auth_ip_allowlist', '127.0.0.0/8')
  t.equal((await world.http(PULL, { password })).status, 200, 'allow-listed')
})

t.test('rows 30–33: what is not the smart protocol is never served', async (t) => {
  const world = await populate(t)
  await world.grant('@anonymous', 'read', 'team/**')
  const password = await world.token('alice', 'api')
  const paths = ['info/refs', 'info/refs?service=bogus', 'info/refs?service=', 'HEAD', 'objects/info/packs', 'config']
  for (const path of paths) {
    t.equal((await world.http(`/team/app.git/${path}`)).status, 401, `anonymous ${path}`)
    const answer = await world.http(`/team/app.git/${path}`, { password })
    t.equal(answer.status, 403, path)
    t.match(answer.body, /^The command you're trying to execute is not allowed\./)
  }
  const head = await world.http(PULL, { method: 'HEAD' })
  t.equal(head.status, 403)
  t.equal(head.body, '')
})

t.test('without .git and with superfluous slashes, everything is served without a redirect', async (t) => {
  const world = await populate(t)
  const password = await world.token('alice', 'api')
  for (const path of ['/team/app', '//team//app.git', '/team/app.git/', '/team/%61pp']) {
    const answer = await world.http(`${path}/info/refs?service=git-upload-pack`, { password })
    t.equal(answer.status, 200, path)
    const headers = { 'Content-Type': 'application/x-git-upload-pack-request' }
    t.equal(
      (await world.http(`${path}/git-upload-pack`, { method: 'POST', password, body: '0000', headers })).status,
      200,
    )
  }
})

t.test('requests of Git LFS are answered with 501 in its own type', async (t) => {
  const world = await populate(t)
  for (const path of ['/team/app.git/info/lfs/locks/verify', '/team/app/info/lfs/objects/batch']) {
    const answer = await world.http(path, { method: 'POST', body: '{}' })
    t.equal(answer.status, 501)
    t.equal(answer.headers['content-type'], 'application/vnd.git-lfs+json')
    t.match(JSON.parse(answer.body), { message: /Git LFS is not enabled/ })
  }
})

t.test('a token is taken from each place where clients put it', async (t) => {
  const world = await populate(t)
  const token = await world.token('alice', 'api')
  const ask = async (headers: Record<string, string>) => (await world.http(PULL, { headers })).status
  t.equal(await ask({ Authorization: `Bearer ${token}` }), 200)
  t.equal(await ask({ 'PRIVATE-TOKEN': token }), 200)
  t.equal(await ask({ Authorization: basic('x', `${token}\n`) }), 200)
  t.equal(await ask({ Authorization: `Basic ${Buffer.from(`älice:${token}`, 'latin1').toString('base64')}` }), 200)
})

t.test('two Authorization headers are a mistake, which counts for nothing', async (t) => {
  const world = await populate(t)
  const line = `Authorization: ${basic('x', 'ggpat-wrong')}\r\n`
  for (let i = 0; i < 30; i++) {
    const text = `GET ${PULL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${line}${line}\r\n`
    const answer = await raw(world.url, text)
    t.match(answer, /^HTTP\/1.1 400 [^]*two Authorization headers/)
    t.notMatch(answer, /WWW-Authenticate/i)
  }
  t.equal((await world.http(PULL, { password: await world.token('alice', 'api') })).status, 200, 'nobody is banned')
})

t.test('rows 61, 62: bodies of another type or encoding', async (t) => {
  const world = await populate(t)
  const post = async (headers: Record<string, string>) => {
    const password = await world.token('alice', 'api')
    return (await world.http('/team/app.git/git-upload-pack', { method: 'POST', password, body: '0000', headers }))
      .status
  }
  const type = { 'Content-Type': 'application/x-git-upload-pack-request' }
  t.equal(await post({ 'Content-Type': 'application/x-git-receive-pack-request' }), 415)
  t.equal(await post({ 'Content-Type': 'application/x-www-form-urlencoded' }), 415)
  t.equal(await post({}), 415)
  t.equal(await post({ ...type, 'Content-Encoding': 'br' }), 415)
  t.equal(await post(type), 200)
})

t.test('row 63: a repository that git can not read is a 502 that says where the reason is', async (t) => {
  const world = await populate(t)
  const password = await world.token('alice', 'api')
  writeFileSync(join(world.onDisk('team/app'), 'HEAD'), 'nonsense\n')
  rmSync(join(world.onDisk('team/app'), 'config'))
  const answer = await world.http(PULL, { password })
  t.equal(answer.status, 502)
  t.ok(world.log.includes(String(answer.headers['x-request-id'])), 'the log has the request')
  t.notMatch(answer.body, /fatal/)
})

t.test('the last use is written within a second, at most once a day, with the last five addresses', async (t) => {
  const world = await populate(t)
  const { token, secret } = await world.issue('alice', ['api'])
  const use = () => world.http(PULL, { password: secret.reveal() })
  const lastUse = async () => (await world.store.tokens.find(token.id))!.lastUsedAt
  const settled = async (expected: Date) => {
    await until(async () => (await lastUse())?.getTime() === expected.getTime())
    t.same(await lastUse(), expected)
  }
  t.equal(await lastUse(), null)
  const first = world.now
  await use()
  await settled(first)
  t.same((await world.store.tokens.find(token.id))!.lastUsedIps, ['127.0.0.1'])
  world.advance(23 * HOUR)
  await use()
  world.advance(HOUR)
  const second = world.now
  await use()
  await settled(second)
})
