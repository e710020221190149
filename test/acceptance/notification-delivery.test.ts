// Notifications arrive, and arrive once: whatever happens to the mail server, to the gate, and however many gates there are.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { DAY, HOUR, MINUTE } from '../../src/core/clock.js'
import { Secret } from '../../src/core/secret.js'
import { openStore } from '../../src/storage/open.js'
import { GitgateCli } from './gitgate-cli.js'
import { MailServer } from './mail-server.js'
import { advanceTo, createNotificationWorld, midnightIn } from './notification-world.js'
import { until } from './until.js'
import { newToken } from '../storage/new-token.js'
import { temporaryFolder } from './temporary-folder.js'
import { createWorld } from './world.js'

t.test('a mail server that is down is tried again, and no mail is lost or sent twice', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await server.down()
  for (const person of ['alice', 'root', 'mallory'] as const)
    await world.issue(person, ['api'], { name: person, expiry: midnightIn(world, 3) })
  advanceTo(world, HOUR)
  const waiting = () => world.store.notifications.waiting()
  await until(async () => (await waiting()).count === 6 && (await waiting()).lastError !== null)
  t.match((await waiting()).lastError, /ECONNREFUSED/)
  world.advance(MINUTE)
  await world.nextLooks()
  await server.up()
  await world.nextLooks()
  t.equal(server.mails.length, 0, 'the second try comes later than the first did')
  world.advance(HOUR)
  await until(async () => (await waiting()).count === 0)
  world.advance(DAY)
  await world.nextLooks()
  t.equal(server.about('will expire').length, 3)
  t.equal(server.about('was created').length, 3)
  t.equal(new Set(server.mails.map(({ headers }) => headers.get('message-id'))).size, 6)
})

t.test('what a server refuses for now is tried again, what it refuses for good is dropped', async (t) => {
  const codes = new Map([
    ['alice@example.com', 451],
    ['mallory@example.com', 550],
  ])
  const refuse = (recipient: string) => {
    const code = codes.get(recipient)
    return code === undefined ? undefined : { code, text: `answer ${code}` }
  }
  const { world, server } = await createNotificationWorld(t, { refuse })
  for (const person of ['alice', 'mallory', 'root'] as const) await world.issue(person, ['api'])
  await until(async () => {
    const { count, lastError } = await world.store.notifications.waiting()
    return count === 1 && lastError !== null
  })
  t.match((await world.store.notifications.waiting()).lastError, /451/)
  t.strictSame(
    server.mails.flatMap(({ recipients }) => recipients),
    ['root@example.com'],
  )
  t.match(world.log, /"user":"mallory".*550.*notification dropped: permanently rejected/)
  codes.clear()
  world.advance(MINUTE)
  await server.waitFor('created', 2)
  await world.nextLooks()
  t.strictSame(
    server.mails.flatMap(({ recipients }) => recipients),
    ['root@example.com', 'alice@example.com'],
  )
})

// Attack, or accident: one mail at which the server hangs up used to be tried first again and again, before all the others.
t.test('a mail at which the server hangs up keeps no other from arriving', async (t) => {
  const { world, server } = await createNotificationWorld(t, { hangUpOn: 'alice@example.com' })
  for (const person of ['alice', 'mallory', 'root'] as const)
    await world.issue(person, ['api'], { name: person, expiry: midnightIn(world, 3) })
  advanceTo(world, HOUR)
  const mails = await server.waitFor('will expire', 2)
  t.strictSame(mails.map(({ recipients }) => recipients.join()).toSorted(), ['mallory@example.com', 'root@example.com'])
  await until(async () => (await world.store.notifications.waiting()).count === 2)
  t.match((await world.store.notifications.waiting()).lastError, /closed/i)
})

t.test('who is blocked, or has turned a kind off, before a mail is sent gets none', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  await server.down()
  for (const person of ['alice', 'mallory', 'root'] as const) await world.issue(person, ['api'])
  await until(async () => (await world.store.notifications.waiting()).lastError !== null)
  await world.store.accounts.setState(GATE_CONTEXT, (await world.account('mallory')).id, 'blocked')
  await world.store.notifications.setKindsOff(GATE_CONTEXT, (await world.account('root')).id, ['created'])
  await server.up()
  world.advance(HOUR)
  await until(async () => (await world.store.notifications.waiting()).count === 0)
  t.strictSame(
    server.mails.flatMap(({ recipients }) => recipients),
    ['alice@example.com'],
  )
})

/** Accounts with a token that expires in three days, and their mail server. */
async function createDataFolder(t: Test, owners: number): Promise<{ cli: GitgateCli; server: MailServer }> {
  const folder = temporaryFolder(t)
  const server = await MailServer.start(t)
  const cli = new GitgateCli(folder, { GITGATE_SMTP_URL: server.url, GITGATE_MAIL_FROM: 'gate@example.com' })
  await cli.ask(['user', 'add', 'first', '--email', 'first@example.com'])
  await cli.ask(['token', 'create', 'first', '--name', 'ci', '--scopes', 'api', '--expires-in', '3d'])
  const store = openStore(join(folder, 'data'), undefined)
  const now = new Date()
  for (let owner = 2; owner <= owners; owner += 1) {
    const username = `user-${owner}`
    const plain = { username, name: username, email: `${username}@example.com`, admin: false, passwordHash: null }
    const { id } = await store.accounts.add(GATE_CONTEXT, plain, now)
    await store.tokens.add(GATE_CONTEXT, newToken(id, { createdAt: now, expiresAt: new Date(now.getTime() + 3 * DAY) }))
  }
  await store.close()
  return { cli, server }
}

t.test('several gates on one data folder send each mail once', async (t) => {
  const { cli, server } = await createDataFolder(t, 25)
  const gates = await Promise.all([cli.serveProcess(t), cli.serveProcess(t), cli.serveProcess(t)])
  await server.waitFor('will expire', 25)
  await server.waitFor('was created', 25)
  // What a gate still sends, it has sent when it has ended.
  for (const gate of gates) t.equal(await gate.stop(), 0)
  t.equal(server.mails.length, 50)
  t.equal(new Set(server.mails.map(({ recipients, subject }) => `${recipients.join()} ${subject}`)).size, 50)
})

t.test('a run that was missed while no gate was up is made up; one that was done is not done again', async (t) => {
  const { cli, server } = await createDataFolder(t, 1)
  const write = async (job: string, at: Date): Promise<void> => {
    const store = openStore(join(cli.folder, 'data'), undefined)
    await store.jobRuns.write(job, at, true, 'done')
    await store.close()
  }
  await write('expiry-notification', new Date())
  const first = await cli.serveProcess(t)
  await server.waitFor('was created')
  // Jobs are looked at before deliveries, and what is under way is finished.
  t.equal(await first.stop(), 0)
  t.equal(server.about('will expire').length, 0, 'the run of today is done')
  await write('expiry-notification', new Date(Date.now() - 2 * DAY))
  await cli.serveProcess(t)
  await server.waitFor('will expire')
})

t.test('a gate that is killed in the middle has lost no mail', async (t) => {
  const { cli, server } = await createDataFolder(t, 40)
  const gate = await cli.serveProcess(t)
  await server.waitFor('ci', 5)
  gate.child.kill('SIGKILL')
  await until(() => gate.child.signalCode !== null)
  // What it had taken is given back at the end of its lease.
  const store = openStore(join(cli.folder, 'data'), undefined)
  const waiting = await store.notifications.waiting()
  const later = new Date(Date.now() + HOUR)
  const taken = await store.notifications.take({
    now: later,
    leasedUntil: new Date(later.getTime() + 1),
    mail: true,
    limit: 100,
  })
  await store.close()
  t.ok(waiting.count > 0)
  t.equal(taken.length, waiting.count)
  t.ok(server.mails.length + waiting.count >= 80, `${server.mails.length} arrived, ${waiting.count} wait`)
})

t.test('a server that asks for a password gets it, and nobody else does', async (t) => {
  const server = await MailServer.start(t, { password: 'p/geheim' })
  const world = await createWorld(t, { smtpUrl: server.url.replace('//', '//gate:p%2Ffalsch@') })
  await world.issue('alice', ['api'])
  await until(async () => (await world.store.notifications.waiting()).lastError !== null)
  t.match((await world.store.notifications.waiting()).lastError, /gate can't sign in with \[SMTP password\]/)
  t.notMatch(world.log, /falsch/)
  const other = await createWorld(t, { smtpUrl: server.url.replace('//', '//gate:p%2Fgeheim@') })
  await other.issue('alice', ['api'])
  const [mail] = await server.waitFor('was created')
  t.match(mail!.headers.get('from'), /^GitGate <gitgate@/)
  t.notMatch(mail!.raw + other.log, 'geheim')
})

t.test('without a mail server mails wait, a week at most', async (t) => {
  const world = await createWorld(t)
  await world.issue('alice', ['api'])
  world.advance(7 * DAY)
  await world.nextLooks()
  t.equal((await world.store.notifications.waiting()).mails, 1)
  world.advance(10 * MINUTE)
  await until(async () => (await world.store.notifications.waiting()).count === 0)
  t.match(world.log, 'dropped mails that waited seven days')
})

// Attack: while no mail server was configured, a bot's webhook was enough for the job to count as done, and owners with a mailbox
// were never told that their tokens had expired.
t.test('owners are told of what expired before there was a mail server', async (t) => {
  const before = await createWorld(t)
  await before.store.webhooks.add(
    GATE_CONTEXT,
    (await before.account('root')).id,
    'http://127.0.0.1:1/',
    new Secret('whsec', 'secret'),
    before.now,
  )
  await before.issue('alice', ['api'], { name: 'nightly', expiry: midnightIn(before, 1) })
  advanceTo(before, 3 * HOUR)
  // The next run looks back to the midnight before this one, by when the token has expired a day ago.
  before.advance(2 * DAY)
  await before.nextLooks()
  await until(
    async () => (await before.store.jobRuns.find('expired-notification'))?.doneAt?.getTime() === before.now.getTime(),
  )

  const server = await MailServer.start(t)
  const flags = { data: join(before.folder, 'data'), smtpUrl: server.url, mailFrom: 'gate@example.com' }
  await createWorld(t, flags, undefined, { start: before.now })
  t.match((await server.waitFor("'nightly' has expired"))[0], { recipients: ['alice@example.com'] })
})
