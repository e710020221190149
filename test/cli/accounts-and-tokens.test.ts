import { generateSync } from 'otplib'
import t from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { expectMistakes } from './mistakes.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

// The contract of the command line (docs/cli.md), by running it as a process: accounts and tokens.

t.test('users', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  t.match((await cli.run(['user', 'list'])).stderr, /No accounts yet. Add one: gitgate user add NAME/)
  const added = await cli.run(
    ['user', 'add', 'alice', '--email', 'a@example.com', '--name', 'Alice A.', '--password-stdin'],
    'long enough\n',
  )
  t.equal(added.status, 0)
  t.equal(added.stdout, '')
  t.match(await cli.json('user', 'add', 'root', '--admin'), {
    id: 2,
    username: 'root',
    is_admin: true,
    state: 'active',
  })
  t.match(
    await cli.ask(['user', 'list']),
    /^USERNAME +NAME +EMAIL .*\nalice +Alice A\. +a@example\.com +active +no +off +set\nroot /s,
  )
  t.match(await cli.json('user', 'list'), [
    { username: 'alice', email: 'a@example.com', two_factor_enabled: false },
    {},
  ])
  t.match(await cli.ask(['user', 'show', 'ALICE']), /Password +set/)
  t.match(await cli.json('user', 'block', 'alice'), { state: 'blocked' })
  t.match(await cli.json('user', 'unblock', 'alice'), { state: 'active' })
  t.equal((await cli.run(['user', 'passwd', 'root'], 'another long one')).status, 0)
  t.match((await cli.run(['user', 'edit', 'alice', '--no-email'])).stderr, 'alice was changed.')
  const edited = { name: 'A.', email: 'a@example.com', is_admin: true }
  t.match(await cli.json('user', 'edit', 'alice', '--name', 'A.', '--email', 'a@example.com', '--admin'), edited)
  t.match(await cli.json('user', 'edit', 'alice', '--no-admin'), { ...edited, is_admin: false })

  await expectMistakes(t, cli, [
    [['user', 'add', 'alice'], /the username alice is taken/],
    [['user', 'add', 'ALICE'], /taken/],
    [['user', 'add', 'bob', '--email', 'A@example.com'], /the email address A@example.com is taken/],
    [['user', 'add', '--', '-rf'], /is not a valid username/],
    [['user', 'add', 'a/b'], /is not a valid username/],
    [['user', 'add', 'api'], /reserved/],
    [['user', 'add', 'x\u202egpj'], /"x\u{FFFD}gpj" is not a valid username/u],
    [['user', 'add', 'bob', '--password-stdin'], /at least 8 characters/, 'short'],
    [['user', 'add', 'bob', '--password-stdin'], /at most 72 bytes/, 'x'.repeat(73)],
    [['user', 'add', 'bob', '--password-stdin'], /too common/, 'Password123'],
    [['user', 'add', 'bobobobob', '--password-stdin'], /can't be the username/, 'BobobobOb'],
    [['user', 'add', 'bob', '--password-stdin'], /no password on standard input/],
    [['user', 'show', 'nobody'], /there is no user "nobody"; to list users: gitgate user list/],
    [['user', 'delete', 'nobody'], /there is no user/],
    [['user', 'edit', 'alice'], /pass what to change: --email/],
    [['user', 'edit', 'root', '--email', 'A@example.com'], /the email address A@example.com is taken/],
    [['user', 'edit', 'root', '--name', ' '], /a name can't be blank/],
  ])
  t.match(await cli.json('user', 'delete', 'alice'), { username: 'alice' })
  t.equal((await cli.run(['user', 'show', 'alice'])).status, 1)
})

t.test('two-factor', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  t.equal(await cli.ask(['user', '2fa', 'status', 'alice']), 'off')
  const text = await cli.ask(['user', '2fa', 'enable', 'alice'])
  const seed = /^Secret +([A-Z2-7]{32})$/m.exec(text)![1]!
  t.match(text, new RegExp(`^URI +otpauth://totp/gitgate:alice\\?secret=${seed}`, 'm'))
  const codes = text.match(/^ {2}[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}$/gm)!.map((line) => line.trim())
  t.equal(new Set(codes).size, 10)
  t.equal(await cli.ask(['user', '2fa', 'status', 'alice']), 'on, 10 recovery codes left')

  const verify = (code: string) => cli.run(['user', '2fa', 'verify', 'alice'], code)
  const code = generateSync({ secret: seed })
  t.equal((await verify(code)).stdout, 'valid\n')
  t.match((await verify(code)).stderr, /wrong, or was already used/)
  t.match((await verify(codes[3]!.toUpperCase())).stdout, /recovery code, now used up/)
  t.equal((await verify(codes[3]!)).status, 1)
  t.match(await cli.json('user', '2fa', 'status', 'alice'), { two_factor_enabled: true, recovery_codes_left: 9 })
  t.match((await cli.run(['user', '2fa', 'enable', 'alice'])).stderr, /already on/)
  t.equal((await cli.run(['user', '2fa', 'disable', 'alice'])).status, 0)
  t.match((await verify(code)).stderr, /is off/)
  t.match(await cli.json('user', '2fa', 'enable', 'alice'), {
    secret: /^[A-Z2-7]{32}$/,
    otpauth_uri: /^otpauth:/,
    recovery_codes: { length: 10 },
  })
})

t.test('tokens', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const created = (await cli.json(
    'token',
    'create',
    'alice',
    '--name',
    'ci',
    '--scopes',
    'read_repository, read_user',
    '--expires-in',
    '90d',
    '--description',
    'for CI',
  )) as Record<string, string>
  t.match(created, {
    id: 1,
    name: 'ci',
    token: /^ggpat-[0-9A-Za-z]{36}$/,
    scopes: ['read_user', 'read_repository'],
    user: 'alice',
    active: true,
    last_used_at: null,
    description: 'for CI',
  })
  t.match(await cli.json('token', 'list', '--user', 'alice'), [
    { id: 1, name: 'ci', revoked: false, expires_at: /^\d{4}-\d\d-\d\d$/ },
  ])
  t.notOk(JSON.stringify(await cli.json('token', 'list')).includes(created['token']!), 'shown once')
  t.match(
    await cli.ask(['token', 'list']),
    /^ID +USER +NAME +SCOPES +LIMITED TO +STATE +EXPIRES +LAST USED\n1 +alice +ci +read_user,read_repository +- +active +in 90 days +never$/,
  )
  t.match(JSON.parse(await cli.ask(['token', 'inspect', '--json'], created['token'])), { id: 1, user: 'alice' })

  const rotated = await cli.run(['token', 'rotate', '1'])
  t.match(rotated.stdout, /^ggpat-[0-9A-Za-z]{36}\n$/)
  t.match(await cli.json('token', 'list', '--state', 'inactive'), [{ id: 1, revoked: true }])
  t.match(await cli.json('token', 'list', '--state', 'active'), [
    { id: 2, name: 'ci', scopes: ['read_user', 'read_repository'] },
  ])
  t.equal((await cli.run(['token', 'revoke', '2'])).status, 0)
  t.match((await cli.run(['token', 'revoke', '2'])).stderr, /was already revoked/)
  t.match(await cli.ask(['token', 'show', '2']), /State +revoked/)

  const create = ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api']
  await expectMistakes(t, cli, [
    [
      ['token', 'create', 'alice', '--name', 'n', '--scopes', 'write'],
      /"write" is not a scope; the scopes are api, read_api, .*write_repository.*sudo/,
    ],
    [['token', 'create', 'alice', '--name', 'n', '--scopes', ''], /at least one scope/],
    [['token', 'create', 'alice', '--name', 'n', '--scopes', 'sudo'], /only administrators/],
    [['token', 'create', 'alice', '--name', ' ', '--scopes', 'api'], /can't be blank/],
    [['token', 'create', 'alice', '--name', 'a\nb', '--scopes', 'api'], /line breaks/],
    [['token', 'create', 'alice', '--scopes', 'api'], /required option '--name <name>' not specified/],
    [[...create, '--expires-at', '2020-01-01'], /2020-01-01 has already begun/],
    [[...create, '--expires-at', new Date().toISOString().slice(0, 10)], /has already begun/],
    [[...create, '--expires-at', '2026-02-30'], /not a date/],
    [[...create, '--expires-at', 'tomorrow'], /not a date; use YYYY-MM-DD/],
    [[...create, '--expires-in', '5y'], /use 90s, 15m, 12h, 30d or never/],
    [[...create, '--expires-in', '5d', '--expires-at', '2099-01-01'], /exclude each other/],
    [['token', 'create', 'nobody', '--name', 'n', '--scopes', 'api'], /there is no user/],
    [['token', 'show', '99'], /there is no token 99/],
    [['token', 'show', 'x'], /is not an ID/],
    [['token', 'rotate', '2'], /already revoked/],
    [['token', 'list', '--state', 'dead'], /active or inactive/],
    [['token', 'inspect'], /no token on standard input/],
  ])
})

t.test('times are relative to now, and exact with --wide', async (t) => {
  let now = new Date('2026-06-15T12:00:00.000Z')
  const cli = new GitgateCli(temporaryFolder(t), {}, { clock: () => now })
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'api', '--expires-in', '10d'])
  await cli.ask(['webhook', 'add', 'https://bot.example.com/'])
  now = new Date('2026-06-18T12:00:00.000Z')
  const [made, end] = ['2026-06-15T12:00:00.000Z', '2026-06-25T12:00:00.000Z']
  const commands: readonly (readonly [command: readonly string[], relative: string, exact: string])[] = [
    [['token', 'list'], 'in 7 days  never', `${end}  never`],
    [['token', 'show', '1'], 'Created       3 days ago', `Created       ${made}`],
    [['token', 'show', '1'], 'Expires       in 7 days', `Expires       ${end}`],
    [['user', 'show', 'alice'], '3 days ago', made],
    [['webhook', 'list'], '3 days ago', made],
    [['audit', 'list'], '1   3 days ago', `1   ${made}`],
    [['jobs', 'list'], 'in 13 hours', '2026-06-19T01:00:00.000Z'],
    [['settings', 'set', 'max_personal_access_token_lifetime', '5', '--dry-run'], 'in 7 days', end],
  ]
  for (const [command, relative, exact] of commands) {
    const run = async (...more: string[]) => {
      const { stdout, stderr } = await cli.run([...command, ...more])
      return stdout + stderr
    }
    t.match(await run(), relative, command.join(' '))
    t.match(await run('--wide'), exact, `${command.join(' ')} --wide`)
  }
})

t.test('policies bind new tokens', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const create = ['token', 'create', 'alice', '--name', 'n', '--scopes', 'api']
  await cli.ask(['settings', 'set', 'max_personal_access_token_lifetime', '30'])
  const latest = new Date(Date.parse(new Date().toISOString().slice(0, 10)) + 30 * 86_400_000)
    .toISOString()
    .slice(0, 10)
  const unwished = await cli.run(create)
  t.match(
    unwished.stderr,
    new RegExp(`expires at ${latest}T00:00:00.000Z`),
    'none given: the latest that is allowed, said',
  )
  t.match(
    (await cli.run([...create, '--expires-in', 'never'])).stderr,
    new RegExp(`must expire on this server.*${latest}`),
  )
  t.match((await cli.run([...create, '--expires-at', '2099-01-01'])).stderr, new RegExp(`must expire by ${latest}`))
  await cli.ask(['settings', 'set', 'max_personal_access_token_lifetime', 'null'])
  await cli.ask(['settings', 'set', 'require_personal_access_token_expiry', 'true'])
  t.match((await cli.run(create)).stderr, /must expire on this server; set an expiry date/)
  await cli.ask(['settings', 'set', 'personal_access_token_prefix', 'acme-'])
  t.match(await cli.ask([...create, '--expires-in', '1d']), /^acme-[0-9A-Za-z]{36}$/)
  await cli.ask(['settings', 'set', 'disable_personal_access_tokens', 'true'])
  t.match((await cli.run([...create, '--expires-in', '1d'])).stderr, /disabled/)
})
