// The settings in the browser: whom a change concerns is shown before it is made.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import { DAY } from '../../src/core/clock.js'
import { administration } from './administration.js'

const PATH = '/-/admin/application_settings'

t.test('a change is reviewed, then made', async (t) => {
  const { world, root } = await administration(t)
  await world.issue('alice', ['api'], { name: 'for ever' })
  await world.issue('alice', ['api'], { name: 'short', expiry: new Date(world.now.getTime() + 5 * DAY) })
  const change = { max_personal_access_token_lifetime: ' 30 ', push_to_create: 'off' }
  const review = await root.submit(PATH, { step: 'review', ...change })
  t.equal(review.status, 200)
  t.match(review.body, '1 token exceeds the maximum lifetime and will be revoked at')
  t.match(review.body, /token 1, <q>for ever<\/q>, of <a href="\/-\/admin\/users\/alice">/)
  t.notMatch(review.body, '<q>short')
  t.match(review.body, 'name="push_to_create" value="false"')
  t.match(review.body, /<code>push_to_create<\/code>.*>on<.*>off</s, 'in the words of the form')
  t.match(review.body, /max_personal_access_token_lifetime<\/code>.*>no limit<.*>30</s)
  t.equal((await world.store.settings.list()).size, 0, 'nothing is changed yet')

  t.equal((await root.submit(PATH, { step: 'apply', ...change })).headers['location'], PATH)
  t.match(
    (await root.get(PATH)).body,
    'Maximum token lifetime (days) is now 30; Create repositories on push is now off.',
  )
  t.strictSame(Object.fromEntries(await world.store.settings.list()), {
    max_personal_access_token_lifetime: '30',
    push_to_create: 'false',
  })
  const rows = await world.store.audit.list({ action: 'setting.changed', limit: 9 })
  t.strictSame(
    rows.map(({ via, username, target }) => [via, username, target]),
    [
      ['web', 'root', 'setting:push_to_create'],
      ['web', 'root', 'setting:max_personal_access_token_lifetime'],
    ],
  )
  await root.submit(PATH, { step: 'review', ...change })
  t.match((await root.get(PATH)).body, 'Nothing to change.')
})

t.test('who is concerned is told', async (t) => {
  const { world, root } = await administration(t)
  await world.setPassword('alice', 'correct horse battery')
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  await world.issue('alice', ['api'], { name: 'old', expiry: new Date(world.now.getTime() + DAY) })
  await world.issue('alice', ['api'], { name: 'agent', impersonation: true })
  world.advance(2 * DAY)
  await root.signIn('root', 'correct horse battery')
  const review = async (change: Readonly<Record<string, string>>) =>
    (await root.submit(PATH, { step: 'review', ...change })).body
  t.match(await review({ enforce_pat_expiration: 'false' }), /1 token would work again.*<q>old<\/q>/s)
  t.match(await review({ impersonation_enabled: 'false' }), /1 token would be refused.*<q>agent<\/q>/s)
  t.match(await review({ disable_personal_access_tokens: 'true' }), /1 token would be refused/)
  t.match(
    await review({ require_two_factor_authentication: 'true', two_factor_grace_period: '7' }),
    /2 accounts have no second factor.*would need one from .*>alice<.*>root</s,
  )
  const atOnce = await review({ require_two_factor_authentication: 'true' })
  t.match(atOnce, '2 accounts could no longer use their passwords with Git')
  t.notMatch(atOnce, '>mallory<', 'who is blocked loses nothing')
  t.match(
    await review({ password_authentication_enabled_for_git: 'off' }),
    '2 accounts could no longer use their passwords',
  )
  t.match(await review({ git_basic_auth_maxretry: '5' }), 'No token is refused or revoked')
  t.match(await review({ session_expire_delay: '5' }), 'Users idle in the browser since')
  t.match(await review({ audit_retention: '1' }), /Audit events from before .* will be deleted within a day/)
  t.notMatch(await review({ audit_retention: '300' }), 'will be deleted')
})

t.test('what can not be read is told beside its field, and nothing is changed', async (t) => {
  const { world, root } = await administration(t)
  const bad = {
    session_expire_delay: '0',
    audit_retention: 'long',
    git_basic_auth_ip_allowlist: '"><script>alert(1)</script>',
    personal_access_token_prefix: '<b>',
    push_to_create: 'false',
  }
  for (const step of ['review', 'apply']) {
    const { status, body } = await root.submit(PATH, { step, ...bad })
    t.equal(status, 422)
    t.match(body, 'Enter a whole number from 1 to 10080.')
    t.match(body, /Enter a whole number.{1,40}, or leave it empty for no limit\./)
    t.match(body, 'id="git_basic_auth_ip_allowlist-error">&quot;&quot;&gt;&lt;script', 'a sentence of its own')
    t.match(body, /role="alert".*Nothing was changed. Fix the settings marked below\./, 'the field may be far down')
    t.match(body, 'The value can contain only letters of the Base64 alphabet')
    t.match(body, 'value="&quot;&gt;&lt;script&gt;', 'what was typed stays')
    t.notMatch(body, '<script>alert')
  }
  t.equal((await world.store.settings.list()).size, 0)
  t.equal((await root.submit(PATH, { step: 'odd' })).status, 400)
})
