import { join } from 'node:path'
import SQLite from 'better-sqlite3'
import t from 'tap'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { MailServer } from '../acceptance/mail-server.js'
import { expectMistakes } from './mistakes.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'

// The contract of the command line (docs/cli.md), by running it as a process: jobs, and what accounts are told.

t.test('jobs run is done when the mail server has accepted the mails', async (t) => {
  const server = await MailServer.start(t)
  const bare = new GitgateCli(temporaryFolder(t))
  const cli = new GitgateCli(bare.folder, { GITGATE_SMTP_URL: server.url, GITGATE_MAIL_FROM: 'gate@example.com' })
  await cli.ask(['user', 'add', 'alice', '--email', 'alice@example.com'])
  await cli.ask(['user', 'notifications', 'alice', '--off', 'created'])
  await cli.ask(['token', 'create', 'alice', '--name', 'ci', '--scopes', 'api', '--expires-in', '3d'])
  t.match(await bare.run(['jobs', 'run', 'expiry-notification']), {
    status: 1,
    stdout: '',
    stderr:
      /^gitgate: no notification channel is configured: set GITGATE_SMTP_URL .* and GITGATE_MAIL_FROM, or add a webhook: .*\n$/,
  })

  await server.down()
  const failed = await cli.run(['jobs', 'run', 'expiry-notification'])
  t.match(failed, { status: 1, stdout: '', stderr: /^gitgate: 1 notification was not accepted; .*ECONNREFUSED.*\n$/ })
  t.match((await cli.run(['jobs', 'list'])).stderr, /^1 pending notification; last error: .*ECONNREFUSED/)
  await server.up()
  t.match(
    (await cli.run(['jobs', 'run', 'expiry-notification'])).stderr,
    'expiry-notification: 0 notifications written, 1 sent.\n',
  )
  t.equal(server.mails.length, 1)
  t.match(server.mails[0], { recipients: ['alice@example.com'], subject: "Access token 'ci' will expire in 3 days" })
  t.match(server.mails[0]?.text, 'http://127.0.0.1:8080/-/user_settings/personal_access_tokens')
  t.strictSame(await cli.json('jobs', 'run', 'expiry-notification'), {
    name: 'expiry-notification',
    outcome: '0 notifications written, 0 sent',
  })
  t.equal(server.mails.length, 1, 'once')
})

t.test('jobs run beside a gate that takes the mails first is done when they were accepted, too', async (t) => {
  const server = await MailServer.start(t)
  const env = { GITGATE_SMTP_URL: server.url, GITGATE_PUBLIC_URL: 'https://git.example.com' }
  const cli = new GitgateCli(temporaryFolder(t), env)
  await cli.serve(t)
  await cli.ask(['user', 'add', 'alice', '--email', 'alice@example.com'])
  for (const name of ['a', 'b'])
    await cli.ask(['token', 'create', 'alice', '--name', name, '--scopes', 'api', '--expires-in', '2d'])
  t.match(
    (await cli.run(['jobs', 'run', 'expiry-notification'])).stderr,
    /^expiry-notification: 1 notification written, \d sent\.\n$/,
  )
  t.equal(server.about('will expire').length, 1)
  t.match(server.about('will expire')[0]?.text, 'https://git.example.com/-/user_settings/personal_access_tokens')
})

t.test('jobs list shows when each runs, ran, and what came of it', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['jobs', 'run', 'lifetime-revocation'])
  await cli.ask(['settings', 'set', 'audit_retention', '90'])
  await cli.ask(['jobs', 'run', 'audit-retention'])
  const jobs = (await cli.json('jobs', 'list')) as { name: string; next_run_at: string; last_run_at: string | null }[]
  t.match(jobs, [
    { name: 'expiry-notification', schedule: '0 1 * * *', last_run_at: null, outcome: null, notifications_waiting: 0 },
    { name: 'expired-notification', schedule: '0 2 * * *', last_error: null },
    { name: 'lifetime-revocation', schedule: '* * * * *', outcome: '0 tokens revoked' },
    { name: 'audit-retention', schedule: '0 3 * * *', outcome: '0 rows deleted' },
  ])
  t.match(jobs[0]?.next_run_at, /T01:00:00\.000Z$/)
  t.match(jobs[2]?.last_run_at, /Z$/)
  t.match(
    await cli.ask(['jobs', 'list']),
    /^JOB +SCHEDULE +LAST RUN +OUTCOME +NEXT RUN\nexpiry-notification +0 1 \* \* \* +never/,
  )
})

t.test('the names that jobs had in 0.1.0 are accepted, and stay in the rows', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['webhook', 'add', 'http://127.0.0.1:9/'])
  t.match(await cli.json('jobs', 'run', 'expired-notice'), { name: 'expired-notification' })
  await cli.ask(['jobs', 'run', 'expiry-notification'])
  const jobs = (await cli.json('jobs', 'list')) as { name: string; outcome: string | null }[]
  t.match(jobs[0], { name: 'expiry-notification', outcome: '0 notifications written' })
  t.match(jobs[1], { name: 'expired-notification', outcome: '0 notifications written' })
  const database = new SQLite(join(cli.folder, 'data', 'gitgate.sqlite3'))
  t.teardown(() => database.close())
  const names = database.prepare('SELECT name FROM job_runs ORDER BY name').pluck().all()
  t.strictSame(names, ['expired-notice', 'expiry-notice'])
})

t.test('what an account is told is shown and turned off and on', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const ofTokens = ['expiring', 'expired', 'created', 'revoked', 'rotated', 'new-address']
  const ofAccounts = [
    'password-changed',
    'email-changed',
    'two-factor-enabled',
    'two-factor-disabled',
    'recovery-codes-renewed',
  ]
  const all = Object.fromEntries([...ofTokens, ...ofAccounts].map((kind) => [kind, true]))
  t.strictSame(await cli.json('user', 'notifications', 'alice'), { user: 'alice', ...all })
  t.match(await cli.json('user', 'notifications', 'alice', '--off', 'created,new-address'), {
    created: false,
    'new-address': false,
    revoked: true,
  })
  t.match(await cli.json('user', 'notifications', 'alice', '--on', 'created'), { created: true, 'new-address': false })
  const shown = await cli.run(['user', 'notifications', 'alice'])
  t.match(shown.stdout, /^created +on\n/m)
  t.match(shown.stdout, /^new-address +off\n/m)
  t.match(shown.stderr, /alice has no email address, so only webhooks get its notifications/)
  await expectMistakes(t, cli, [
    [['user', 'notifications', 'nobody'], /there is no user "nobody"/],
    [
      ['user', 'notifications', 'alice', '--off', 'everything'],
      /is not a kind of notification; the kinds are expiring, expired/,
    ],
    [['jobs', 'run', 'nonsense'], /there is no job "nonsense"; the jobs are expiry-notification, /],
    [['jobs', 'run'], /missing required argument/],
  ])
})
