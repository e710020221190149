// The settings, by GitLab's names: read and changed by administrators, in force on the next request.
import t from 'tap'
import { formatSetting, resolveSettings, SETTING_KEYS } from '../../../src/domain/policies/settings.js'
import { createWorld } from '../world.js'
import { call, callsWith, form } from './calls.js'

const PATH = '/application/settings'

t.test('all are shown, each in its own type', async (t) => {
  const world = await createWorld(t)
  const { status, body } = (await callsWith(world, await world.token('root', 'read_api'))('GET', PATH)) as {
    status: number
    body: Record<string, unknown>
  }
  t.equal(status, 200)
  t.same(body, resolveSettings(new Map()))
  t.equal(Object.keys(body).length, SETTING_KEYS.length)
  for (const key of [
    'max_personal_access_token_lifetime',
    'enforce_pat_expiration',
    'personal_access_token_prefix',
    'require_personal_access_token_expiry',
    'disable_personal_access_tokens',
    'password_authentication_enabled_for_git',
    'receive_max_input_size',
  ])
    t.ok(key in body, key)
})

t.test('they are changed by JSON, by forms and in the query; others stay', async (t) => {
  const world = await createWorld(t)
  const secret = await world.token('root', 'api')
  const root = callsWith(world, secret)
  const json = await root('PUT', PATH, {
    max_personal_access_token_lifetime: 30,
    enforce_pat_expiration: false,
    git_basic_auth_ip_allowlist: ['10.0.0.0/8', '::1'],
    unknown_setting: 1,
  })
  t.match(json, {
    status: 200,
    body: {
      max_personal_access_token_lifetime: 30,
      enforce_pat_expiration: false,
      git_basic_auth_ip_allowlist: ['10.0.0.0/8', '::1'],
      personal_access_token_prefix: 'ggpat-',
    },
  })
  const formed = await call(world, PATH, form(secret, 'personal_access_token_prefix=my-', 'PUT'))
  t.match(formed, { status: 200, body: { personal_access_token_prefix: 'my-', enforce_pat_expiration: false } })
  t.match(await root('PUT', `${PATH}?enforce_pat_expiration=true`), {
    status: 200,
    body: { enforce_pat_expiration: true },
  })
  t.match(await root('PUT', PATH, { max_personal_access_token_lifetime: null }), {
    body: { max_personal_access_token_lifetime: null },
  })
  t.equal((await root('PUT', PATH)).status, 200, 'nothing to change')
  const { id } = await world.account('alice')
  const made = await root('POST', `/users/${id}/personal_access_tokens`, { name: 'x', scopes: ['api'] })
  t.match(made.body, { token: /^my-/ })
  const shown = await root('GET', PATH)
  for (const [key, value] of (await world.store.settings.list()).entries())
    t.equal(formatSetting((shown.body as Record<string, never>)[key]!), value, key)
})

t.test('a value that is none changes nothing', async (t) => {
  const world = await createWorld(t)
  const root = callsWith(world, await world.token('root', 'api'))
  for (const [key, value] of [
    ['enforce_pat_expiration', 'perhaps'],
    ['enforce_pat_expiration', null],
    ['enforce_pat_expiration', { a: 1 }],
    ['max_personal_access_token_lifetime', -1],
    ['max_personal_access_token_lifetime', 1.5],
    ['max_personal_access_token_lifetime', [1, 2]],
    ['git_basic_auth_ip_allowlist', 'nonsense'],
  ] as const) {
    const answer = await root('PUT', PATH, { require_personal_access_token_expiry: true, [key]: value })
    t.equal(answer.status, 400, `${key} ${JSON.stringify(value)}`)
    t.same(Object.keys((answer.body as { message: object }).message), [key])
  }
  t.match((await root('PUT', PATH, { personal_access_token_prefix: 'x'.repeat(21) })).body, {
    message: { personal_access_token_prefix: ['is too long (maximum is 20 characters)'] },
  })
  t.match((await root('PUT', PATH, { personal_access_token_prefix: 'a b' })).body, {
    message: { personal_access_token_prefix: [/^can contain only letters of the Base64 alphabet \(RFC4648\)/] },
  })
  t.equal((await world.store.settings.list()).size, 0)
})

t.test('only administrators', async (t) => {
  const world = await createWorld(t)
  const alice = callsWith(world, await world.token('alice', 'api'))
  for (const method of ['GET', 'PUT']) {
    const answer = await alice(method, PATH)
    t.same([answer.status, answer.body], [403, { message: '403 Forbidden' }])
    t.equal((await callsWith(world)(method, PATH)).status, 401)
  }
})
