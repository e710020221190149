// Bots without a mailbox: notifications are posted as JSON, signed, and again until they are accepted.
import type { IncomingHttpHeaders } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import type { Test } from 'tap'
import { HOUR, MINUTE } from '../../src/core/clock.js'
import { mintWebhookSecret } from '../../src/domain/notifications/webhook.js'
import { Secret } from '../../src/core/secret.js'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { newToken } from '../storage/new-token.js'
import { GitgateCli } from './gitgate-cli.js'
import { advanceTo, advanceToNoon, createNotificationWorld, midnightIn } from './notification-world.js'
import { until } from './until.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

type Post = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly path: string }

/** A server that keeps what it is posted, and answers with the next of its statuses. */
async function startReceiver(t: Test): Promise<{ url: string; posts: Post[]; statuses: number[] }> {
  const receiver = { url: '', posts: [] as Post[], statuses: [] as number[] }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      receiver.posts.push({ headers: request.headers, body, path: request.url ?? '' })
      const status = receiver.statuses.shift() ?? 204
      response.writeHead(status, status === 302 ? { Location: '/elsewhere' } : {}).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=geheim`
  return receiver
}

/** Verifies a post as its receiver would when it came, with the library of Standard Webhooks. @returns whether it is authentic */
function isSigned({ headers, body }: Post, receiver: Webhook, receivedAt = new Date()): boolean {
  const clock = mock.method(Date, 'now', () => receivedAt.getTime())
  try {
    receiver.verify(body, headers as Record<string, string>)
    return true
  } catch {
    return false
  } finally {
    clock.mock.restore()
  }
}

t.test('a bot is told what a mail would tell it, signed', async (t) => {
  const world = await createWorld(t)
  await advanceToNoon(world)
  const { url, posts } = await startReceiver(t)
  const bot = { username: 'bot', name: 'Bot', email: null, admin: false, passwordHash: null }
  const { id } = await world.store.accounts.add(GATE_CONTEXT, bot, world.now)
  const secret = mintWebhookSecret()
  await world.store.webhooks.add(GATE_CONTEXT, id, url, secret, world.now)
  await world.issue('alice', ['api'], { name: 'of alice', expiry: midnightIn(world, 3) })
  const given = { name: 'ci', scopes: ['api'], createdAt: world.now, expiresAt: midnightIn(world, 3) } as const
  const added = await world.store.tokens.add(GATE_CONTEXT, newToken(id, given))
  await until(() => posts.length === 1)
  const [created] = posts
  const receiver = new Webhook(secret.reveal())
  t.ok(isSigned(created!, receiver, world.now))
  t.notOk(isSigned({ ...created!, body: created!.body.replace('ci', 'cd') }, receiver, world.now))
  t.notOk(isSigned(created!, receiver, new Date(world.now.getTime() + 6 * MINUTE)), 'a replay is refused')
  t.equal(created!.path, '/hook?key=geheim')
  const sent = JSON.parse(created!.body) as { id: string }
  t.match(created!.headers, {
    'content-type': 'application/json',
    'x-gitgate-event': 'created',
    'webhook-id': sent.id,
    'webhook-timestamp': String(Math.floor(world.now.getTime() / 1_000)),
  })
  t.match(sent, {
    event: 'created',
    created_at: world.now.toISOString(),
    user: { id, username: 'bot', name: 'Bot' },
    tokens: [{ id: added.id, name: 'ci', scopes: ['api'], expires_at: midnightIn(world, 3).toISOString() }],
    by: { kind: 'gate' },
    tokens_url: `${world.url}/-/user_settings/personal_access_tokens`,
  })
  advanceTo(world, HOUR)
  await until(() => posts.length === 2)
  t.match(JSON.parse(posts[1]!.body), { event: 'expiring', tokens: [{ name: 'ci' }], more: 0 })
  t.notMatch(world.log, 'geheim')
})

t.test('what a webhook does not accept is posted again, later each time; a redirect is not followed', async (t) => {
  const { world, server } = await createNotificationWorld(t)
  const { url, posts, statuses } = await startReceiver(t)
  const secret = mintWebhookSecret()
  const { id } = await world.store.webhooks.add(GATE_CONTEXT, null, url, secret, world.now)
  statuses.push(500, 302)
  await world.issue('alice', ['api'])
  await until(async () => (await world.store.notifications.waiting()).lastError !== null)
  t.match((await world.store.notifications.waiting()).lastError, /^http:\/\/127\.0\.0\.1:\d+ answered 500$/)
  await server.waitFor('was created')
  world.advance(MINUTE)
  await until(async () => /answered 302/.test((await world.store.notifications.waiting()).lastError ?? ''))
  world.advance(MINUTE)
  await world.nextLooks()
  t.equal(posts.length, 2)
  world.advance(MINUTE)
  await until(async () => (await world.store.notifications.waiting()).count === 0)
  t.equal(posts.length, 3)
  const receiver = new Webhook(secret.reveal())
  t.ok(posts.every((post) => isSigned(post, receiver, world.now) && post.path.startsWith('/hook')))
  t.equal(new Set(posts.map(({ headers }) => headers['webhook-id'])).size, 1)
  t.equal(server.mails.length, 1, 'the mail went once')

  statuses.push(500)
  await world.issue('root', ['api'])
  await until(async () => (await world.store.notifications.waiting()).count === 1)
  await world.store.webhooks.remove(GATE_CONTEXT, id)
  t.equal((await world.store.notifications.waiting()).count, 0, 'what waits for a webhook goes with it')
})

t.test('a webhook of version 0.1 keeps its secret, whose text is the key', async (t) => {
  const world = await createWorld(t)
  const { url, posts } = await startReceiver(t)
  const secret = 'Zt3m0A-vX_2Qe7cJr5nYbK9hUo1LwPdS4gTiFq8MxRE'
  await world.store.webhooks.add(GATE_CONTEXT, null, url, new Secret(secret, 'webhook secret'), world.now)
  await world.issue('alice', ['api'])
  await until(() => posts.length === 1)
  t.ok(isSigned(posts[0]!, new Webhook(secret, { format: 'raw' }), world.now))
  const prefixed = `whsec_${Buffer.from(secret).toString('base64')}`
  t.ok(isSigned(posts[0]!, new Webhook(prefixed), world.now), 'written as receivers expect it')
})

t.test('administrators set webhooks on the command line', async (t) => {
  const { url, posts, statuses } = await startReceiver(t)
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'bot'])
  const secret = await cli.ask(['webhook', 'add', url, '--user', 'bot'])
  t.match(secret, /^whsec_[\w+/]{43}=$/)
  t.match(await cli.json('webhook', 'list'), [{ id: 1, url, user: 'bot' }])
  t.notMatch(await cli.ask(['webhook', 'list']), secret)
  await cli.ask(['webhook', 'test', '1'])
  t.ok(isSigned(posts[0]!, new Webhook(secret)))
  t.match(JSON.parse(posts[0]!.body), { event: 'test', user: null, tokens: [] })
  statuses.push(404)
  const refused = await cli.run(['webhook', 'test', '1'])
  t.match(refused, { status: 1, stderr: /^gitgate: the webhook did not accept it: \S+ answered 404\n$/ })

  await cli.ask(['token', 'create', 'bot', '--name', 'ci', '--scopes', 'api', '--expires-in', '2d'])
  t.match(
    (await cli.run(['jobs', 'run', 'expiry-notification'])).stderr,
    'expiry-notification: 1 notification written, 2 sent.',
  )
  t.strictSame(
    posts.slice(2).map(({ headers }) => headers['x-gitgate-event']),
    ['created', 'expiring'],
  )
  await cli.ask(['webhook', 'remove', '1'])
  const mistakes: readonly (readonly [string[], RegExp])[] = [
    [['webhook', 'remove', '1'], /there is no webhook 1/],
    [['webhook', 'test', 'x'], /is not an ID/],
    [['webhook', 'add', 'ftp://example.com'], /such as https/],
    [['webhook', 'add', 'https://user:secret@example.com'], /can't contain a username/],
    [['webhook', 'add', 'https://example.com', '--user', 'nobody'], /there is no user/],
  ]
  for (const [args, expected] of mistakes) {
    const { status, stderr } = await cli.run(args)
    t.ok(status > 0, args.join(' '))
    t.match(stderr, expected)
    t.notMatch(stderr, 'secret@')
  }
})
