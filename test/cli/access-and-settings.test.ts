import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { expectMistakes } from './mistakes.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

// The contract of the command line (docs/cli.md), by running it as a process: access, repositories, settings, help.

t.test('grants and repositories', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder)
  await cli.ask(['user', 'add', 'alice'])
  t.match(await cli.json('access', 'grant', 'Alice', 'write', 'team/**'), {
    subject: 'alice',
    role: 'write',
    pattern: 'team/**',
  })
  await cli.ask(['access', 'grant', '@all', 'read', 'docs/*'])
  t.match(await cli.ask(['access', 'list']), /^PATTERN +SUBJECT +ROLE\ndocs\/\* +@all +read\nteam\/\*\* +alice +write$/)
  t.match(
    await cli.ask(['access', 'explain', 'alice', 'team/a/b.git']),
    /alice can clone, fetch and push team\/a\/b: grant 1 \(alice write team\/\*\*\)/,
  )
  t.match(await cli.json('access', 'explain', 'alice', 'alice/x'), { role: 'admin', rule: 'owner of alice/**' })
  t.match(await cli.json('access', 'explain', '@anonymous', 'docs/x'), { role: 'none', rule: 'no grant' })
  t.match(await cli.json('access', 'revoke', 'alice', 'team/**'), { revoked: true })

  await cli.ask(['repo', 'create', 'team/app'])
  await cli.ask(['repo', 'create', 'team/big', '--object-format', 'sha256', '--repos', 'repos'])
  t.equal(
    execFileSync('git', [
      '--git-dir',
      join(folder, 'repos/team/big.git'),
      'rev-parse',
      '--show-object-format',
    ]).toString(),
    'sha256\n',
  )
  t.same(await cli.json('repo', 'list'), [{ path: 'team/app' }, { path: 'team/big' }])
  t.match(await cli.json('repo', 'rename', 'team/app', 'other/app'), { path: 'other/app', previous_path: 'team/app' })
  await cli.ask(['repo', 'delete', 'team/big'])
  t.notOk(existsSync(join(folder, 'repos', 'team')), 'an empty group goes with its last repository')

  await expectMistakes(t, cli, [
    [['access', 'grant', 'nobody', 'read', '**'], /there is no user "nobody"/],
    [['access', 'grant', 'alice', 'own', '**'], /the roles are read, write, admin/],
    [['access', 'grant', '@anonymous', 'write', '**'], /can only read/],
    [['access', 'grant', '@everyone', 'read', '**'], /@all or @anonymous/],
    [['access', 'grant', 'alice', 'read', 'team/[ab]'], /not a repository pattern/],
    [['access', 'revoke', 'alice', 'none'], /has no grant on none/],
    [['repo', 'create', 'other/app'], /already exists/],
    [['repo', 'create', 'other/app/inner'], /is a repository, so it can't be a group/],
    [['repo', 'create', '../evil'], /not a repository path/],
    [['repo', 'create', '--', '--bare'], /not a repository path/],
    [['repo', 'create', 'x', '--object-format', 'md5'], /sha1 or sha256/],
    [['repo', 'delete', 'none/none'], /there is no repository none\/none/],
    [['user', 'add', 'other'], /there are repositories under other\//],
  ])
})

t.test('settings', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  t.match(await cli.json('settings', 'list'), {
    enforce_pat_expiration: true,
    max_personal_access_token_lifetime: null,
    git_basic_auth_maxretry: 10,
    git_basic_auth_ip_allowlist: ['127.0.0.1', '::1'],
  })
  t.equal(await cli.ask(['settings', 'get', 'git_basic_auth_findtime']), '60')
  t.match(
    (await cli.run(['settings', 'set', 'push_to_create', 'off'])).stderr,
    /push_to_create is now false \(was true\)/,
  )
  t.match(await cli.json('settings', 'get', 'push_to_create'), { push_to_create: false })
  t.match((await cli.run(['settings', 'get', 'x'])).stderr, /there is no setting "x"/)
  t.match((await cli.run(['settings', 'set', 'push_to_create', 'maybe'])).stderr, /push_to_create: takes true or false/)
  t.match(
    (await cli.run(['settings', 'set', 'git_basic_auth_ip_allowlist', '10.0.0.0/33'])).stderr,
    /not an IP address or a network/,
  )
})

t.test('help, version, and mistakes on the command line', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  t.match(await cli.ask(['--version']), /^\d+\.\d+\.\d+$/)
  t.match(await cli.ask(['--help']), /quickstart.*serve.*user.*token.*access.*repo.*settings/s)
  for (const command of [
    'quickstart',
    'serve',
    'user add',
    'user 2fa enable',
    'token create',
    'token rotate',
    'access grant',
    'access explain',
    'repo create',
    'repo rename',
    'settings set',
  ]) {
    t.match(
      await cli.ask([...command.split(' '), '--help']),
      new RegExp(`Example:\\n  \\$ .*gitgate ${command}`),
      command,
    )
  }
  await expectMistakes(t, cli, [
    [['user', 'list', '--data', 'x'], /unknown option '--data'.*global options go before the command/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['user', 'nonsense'], /unknown command 'nonsense'/],
    [['user', 'show'], /missing required argument 'name'/],
    [['user', 'list', 'extra'], /too many arguments/],
  ])
  t.equal((await cli.run([])).status, 2, 'nothing to do')
  t.notOk(existsSync(join(cli.folder, 'data')), 'none of these made a data folder')
})
