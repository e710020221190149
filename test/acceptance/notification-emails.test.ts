// What owners of tokens are told by mail, as they read it; and who is told nothing.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY, HOUR, MINUTE, SECOND, utcDate } from '../../src/core/clock.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import { rotateToken } from '../../src/domain/tokens/issue.js'
import { newToken } from '../storage/new-token.js'
import { advanceTo, createNotificationWorld, midnightIn } from './notification-world.js'
import { until } from './until.js'

const PAGE = '/-/user_settings/personal_access_tokens'

t.test('at 01:00 UTC, who owns tokens that expire in under seven days gets one mail', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const issue = (name: string, days: number, person: 'alice' | 'mallory' = 'alice') =>
    world.issue(person, ['read_repository'], { name, expiry: midnightIn(world, days) })
  await issue('deploy', 4)
  await issue('backup', 2)
  await issue('far', 20)
  await issue('other', 3, 'mallory')
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  await world.store.tokens.revoke(GATE_CONTEXT, (await issue('revoked', 2)).token.id, world.now)
  await world.issue('alice', ['api'], { name: 'hidden', expiry: midnightIn(world, 2), impersonation: true })

  advanceTo(world, HOUR - SECOND)
  await world.nextLooks()
  t.strictSame(server.about('will expire'), [], 'not before')
  world.advance(SECOND)
  const [mail, ...others] = await server.waitFor('will expire')
  t.strictSame(others, [])
  t.strictSame(mail!.recipients, ['alice@example.com'])
  t.equal(mail!.subject, '2 of your access tokens will expire in under 7 days')
  t.equal(mail!.headers.get('from'), 'GitGate <gate@example.com>')
  t.equal(mail!.headers.get('auto-submitted'), 'auto-generated')
  t.match(mail!.headers.get('message-id'), /^<\d+\.\d+@example\.com>$/)
  const [first, second] = [1, 3].map(
    (days) => `in ${days} day${days === 1 ? '' : 's'}, on ${utcDate(midnightIn(world, days))}`,
  )
  t.match(mail!.text, `* backup\n    Expires: ${first}`)
  t.match(mail!.text, `* deploy\n    Expires: ${second}`)
  t.match(mail!.text, /^Hello alice,\n\nThese personal access tokens expire within the next seven days\./)
  t.match(mail!.text, `Your tokens: ${world.url}${PAGE}\n`)
  for (const word of ['backup', 'deploy', first!, second!, `href="${world.url}${PAGE}"`]) t.match(mail!.html, word)
  for (const word of ['far', 'revoked', 'hidden', 'other']) t.notMatch(mail!.text, `* ${word}`)

  world.advance(DAY)
  await world.nextLooks()
  t.equal(server.about('will expire').length, 1, 'each token is told once')
  t.notMatch(world.log, /"level":"error"/)
})

t.test('one token is named in the subject, with the days that are left', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await world.issue('alice', ['api'], { name: 'deploy', expiry: midnightIn(world, 5) })
  advanceTo(world, HOUR)
  const [mail] = await server.waitFor('will expire')
  t.equal(mail!.subject, "Access token 'deploy' will expire in 4 days")
})

t.test('at 02:00 UTC, who owns tokens that expired today gets one mail', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await world.issue('alice', ['api'], { name: 'midnight', expiry: midnightIn(world, 1) })
  await world.issue('alice', ['api'], { name: 'evening', expiry: new Date(midnightIn(world, 1).getTime() - HOUR) })
  await world.issue('alice', ['api'], { name: 'later', expiry: new Date(midnightIn(world, 1).getTime() + 3 * HOUR) })
  advanceTo(world, 2 * HOUR)
  const [mail] = await server.waitFor('have expired')
  t.match(mail!.text, /\* evening\n.*\* midnight\n/s, 'those of yesterday, too, which no run could tell yet')
  t.notMatch(mail!.text, '* later')
  world.advance(DAY)
  const [next] = await server.waitFor('has expired')
  t.equal(next!.subject, "Access token 'later' has expired")
})

t.test('where expiry is not enforced, nobody is told that a token ends', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await world.set('enforce_pat_expiration', 'false')
  await world.issue('alice', ['api'], { expiry: midnightIn(world, 3) })
  advanceTo(world, 2 * HOUR)
  await until(async () => /do not expire/.test((await world.store.jobRuns.find('expired-notification'))?.outcome ?? ''))
  t.strictSame(server.about('expire'), [])
})

t.test('a token that was made, rotated or revoked is told to its owner, each once', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const alice = await world.account('alice')
  const { token } = await world.issue('alice', ['write_repository'], { name: 'ci', description: 'for the builds' })
  const [created] = await server.waitFor('created')
  t.equal(created!.subject, "Access token 'ci' was created")
  t.match(created!.text, /\* ci\n    Description: for the builds\n    Scopes: write_repository\n    Expires: never\n/)

  const rules = issueRules(resolveSettings(new Map()), world.now)
  const asAlice = { actor: { ...NOBODY, username: 'alice', ip: '192.0.2.9' } }
  const { token: next } = await rotateToken(
    world.store.tokens,
    asAlice,
    alice,
    token,
    undefined,
    rules,
    world.now,
    HOUR,
  )
  const [rotated] = await server.waitFor('rotated')
  t.match(rotated!.text, /rotated by you, from 192\.0\.2\.9: it has a new secret\. The old secret works until /)

  await world.store.tokens.revoke({ actor: { ...NOBODY, username: 'root' } }, next.id, world.now)
  const [revoked] = await server.waitFor('revoked')
  t.match(revoked!.text, 'One of your personal access tokens was revoked by root.')
  await world.store.tokens.revoke(GATE_CONTEXT, next.id, world.now)
  await world.nextLooks()
  t.strictSame(
    server.mails.map(({ subject }) => subject),
    ['created', 'rotated', 'revoked'].map((word) => `Access token 'ci' was ${word}`),
  )
})

t.test('a token that a policy ends is told with the reason', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await world.issue('alice', ['api'], { name: 'old' })
  await world.set('max_personal_access_token_lifetime', '30')
  world.advance(3 * HOUR + MINUTE)
  const [mail] = await server.waitFor('revoked')
  t.match(mail!.text, /by gitgate\..*Reason: its lifetime exceeds what this server allows/s)
})

t.test('each kind can be turned off for an account, and blocked accounts get none', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const [alice, root] = [await world.account('alice'), await world.account('root')]
  await world.store.notifications.setKindsOff(GATE_CONTEXT, alice.id, ['created', 'expiring'])
  await world.issue('alice', ['api'], { name: 'quiet', expiry: midnightIn(world, 3) })
  await world.issue('root', ['api'], { name: 'loud' })
  await server.waitFor("'loud' was created")
  await world.store.accounts.setState(GATE_CONTEXT, root.id, 'blocked')
  const { token } = await world.issue('root', ['api'], { name: 'blocked' })
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  advanceTo(world, HOUR)
  await world.nextLooks()
  t.equal(server.mails.length, 1)
  await world.store.notifications.setKindsOff(GATE_CONTEXT, alice.id, ['created'])
  world.advance(DAY)
  await server.waitFor("'quiet' will expire")
})

t.test('the first use from a new address is told, at most once an hour for each token', async (t) => {
  const { world, server } = await createNotificationWorld(t, {}, { trustedProxies: '127.0.0.1' })
  const { secret, token } = await world.issue('alice', ['read_api'], { name: 'ci' })
  const use = (ip: string, password = secret.reveal()) =>
    world.http('/api/v4/personal_access_tokens/self', {
      headers: { 'X-Forwarded-For': ip, 'PRIVATE-TOKEN': password },
    })
  const known = async () => (await world.store.tokens.find(token.id))?.lastUsedIps.length
  t.equal((await use('192.0.2.1')).status, 200)
  const [mail] = await server.waitFor('new address')
  t.equal(mail!.subject, "Access token 'ci' was used from a new address")
  t.match(mail!.text, 'Address: 192.0.2.1, first used on ')
  for (const digit of [2, 3, 2, 1]) await use(`192.0.2.${digit}`)
  await until(async () => (await known()) === 3)
  await world.nextLooks()
  t.equal(server.about('new address').length, 1)
  world.advance(HOUR)
  const [, second] = await server.waitFor('new address', 2)
  t.match(second!.text, /Address: 192\.0\.2\.2, .*\n    Address: 192\.0\.2\.3, /)
  t.notMatch(second!.text, '192.0.2.1,')

  const rules = issueRules(resolveSettings(new Map()), world.now)
  const rotated = await rotateToken(
    world.store.tokens,
    GATE_CONTEXT,
    await world.account('alice'),
    token,
    undefined,
    rules,
    world.now,
  )
  world.advance(2 * HOUR)
  await use('192.0.2.3', rotated.secret.reveal())
  await until(async () => ((await world.store.tokens.find(rotated.token.id))?.lastUsedAt ?? null) !== null)
  await world.nextLooks()
  t.equal(server.about('new address').length, 2, 'a new secret knows the addresses of the old one')
})

// Attack: markup, header lines and addresses are put into the names of an account and a token, to be believed by the reader
// or the mail server.
t.test('names stay names: no markup, no header, no recipient comes of them', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const evil = '<script>alert(1)</script> & "><img src=x>, Bcc: <mallory@example.com>'
  const owner = { username: 'evil', name: evil, email: 'owner@example.com', admin: false, passwordHash: null }
  const { id } = await world.store.accounts.add(GATE_CONTEXT, owner, world.now)
  await world.issue('alice', ['api'], { name: evil })
  await t.rejects(world.issue('alice', ['api'], { name: 'x\r\nBcc: mallory@example.com' }), { code: 'invalid' })
  // As if the check had a hole.
  const name = 'x\r\nBcc: mallory@example.com\r\n\r\n<b>'
  await world.store.tokens.add(GATE_CONTEXT, newToken(id, { name, createdAt: world.now }))
  const mails = await server.waitFor('was created', 2)
  for (const mail of mails) {
    t.equal(mail.recipients.length, 1)
    t.notOk(mail.headers.has('bcc'))
    t.notMatch(mail.html, /<script|<img|<b>/)
  }
  const alices = mails.find(({ recipients }) => recipients[0] === 'alice@example.com')!
  t.match(alices.html, '&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;&gt;&lt;img src=x&gt;')
  t.match(alices.text, `* ${evil}\n`)
})

const NOBODY = {
  via: 'api',
  operator: null,
  accountId: null,
  username: null,
  tokenId: null,
  impersonator: null,
  ip: null,
  userAgent: null,
  requestId: null,
} as const
