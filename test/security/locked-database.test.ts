// Attack: somebody makes another process or thread write to the database for long, for example with pushes of 80,000 refs whose
// audit events are megabytes. Revocations failed with "database is locked", and with several workers each attempt blocked the event
// loop for a second.
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import SQLite from 'better-sqlite3'
import type { Test } from 'tap'
import t from 'tap'
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { http } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { newToken } from '../storage/new-token.js'
import { addAccount, NOON, openTemporaryStore } from '../storage/temporary-store.js'
import { signedIn, TOKENS } from '../web/token-forms.js'

const SELF = '/api/v4/personal_access_tokens/self'
const HELD_MS = 2_000
// Waiting must not block at all; this is for a busy machine.
const MAX_BLOCKED_MS = 500
const CREATE =
  'mutation { personalAccessTokenCreate(input: {name: "n", scopes: ["read_repository"]}) { token errors } }'

/** Holds the write lock of a database. @returns how to release it */
function lockDatabase(t: Test, data: string): () => void {
  const other = new SQLite(join(data, 'gitgate.sqlite3'))
  other.exec('BEGIN IMMEDIATE')
  const release = (): void => void other.close()
  t.teardown(release)
  return release
}

function revokeSelf(url: string, token: string) {
  return http(url, SELF, { method: 'DELETE', headers: { 'Private-Token': token } })
}

t.test('changes wait until the lock is released, and don’t block the event loop', async (t) => {
  const world = await createWorld(t)
  const tokens = await Promise.all(Array.from({ length: 10 }, () => world.token('alice', 'api')))
  await world.http(SELF)
  const release = lockDatabase(t, join(world.folder, 'data'))
  const blocked = monitorEventLoopDelay({ resolution: 10 })
  blocked.enable()
  const answers = tokens.map((token) => revokeSelf(world.url, token))
  await delay(HELD_MS)
  blocked.disable()
  release()
  for (const answer of answers) t.equal((await answer).status, 204)
  t.ok(blocked.max / 1e6 < MAX_BLOCKED_MS, `blocked for ${Math.round(blocked.max / 1e6)} ms`)
  t.equal((await revokeSelf(world.url, tokens[0]!)).status, 401)
})

t.test('the same with several workers', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  const create = ['token', 'create', 'alice', '--scopes', 'api', '--name']
  const tokens = [await cli.ask([...create, 'a']), await cli.ask([...create, 'b'])]
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--workers', '2'])
  await http(gate.url, SELF)
  const release = lockDatabase(t, join(cli.folder, 'data'))
  const answers = tokens.map((token) => revokeSelf(gate.url, token))
  setTimeout(release, HELD_MS)
  for (const answer of answers) t.equal((await answer).status, 204)
})

t.test('a database that stays locked is a 503 with Retry-After, and nothing is changed', async (t) => {
  const world = await createWorld(t)
  const alice = await signedIn(world, 'alice')
  const token = await world.token('alice', 'api')
  const before = await contentOf(world)
  const csrf_token = await alice.csrfToken(`${TOKENS}/new`)
  const release = lockDatabase(t, join(world.folder, 'data'))
  const headers = { 'Private-Token': token, 'Content-Type': 'application/json' }
  const graphql = { method: 'POST', headers, body: JSON.stringify({ query: CREATE }) }
  const answers = await Promise.all([
    revokeSelf(world.url, token),
    world.http(SELF.replace('self', 'self/rotate'), { method: 'POST', headers: { 'Private-Token': token } }),
    world.http('/api/graphql', graphql),
    alice.send(TOKENS, { csrf_token, name: 'n', scopes: 'read_repository', expiry: '30d' }),
  ])
  release()
  for (const { status, headers, body } of answers) {
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.notMatch(body, /SQLITE|database is locked/)
  }
  t.match(answers[0].body, /another program kept the database locked for 10 seconds; nothing was changed/)
  t.match(answers[2].body, /another program kept the database locked for 5 seconds; nothing was changed/)
  t.strictSame(await contentOf(world), before)
  t.equal((await revokeSelf(world.url, token)).status, 204, 'and later it works')
})

t.test('commands wait, too, and say what to do', async (t) => {
  const cli = new GitgateCli(temporaryFolder(t))
  await cli.ask(['user', 'add', 'alice'])
  await cli.ask(['token', 'create', 'alice', '--scopes', 'api', '--name', 'a'])
  const release = lockDatabase(t, join(cli.folder, 'data'))
  const failed = await cli.run(['settings', 'set', 'push_to_create', 'false'])
  t.match(failed, {
    status: 1,
    stderr: /kept the database locked for 5 seconds; nothing was changed. Try again, or find/,
  })
  setTimeout(release, HELD_MS)
  t.match(await cli.run(['token', 'revoke', '1']), { status: 0 })
})

t.test('when the lock is released, a revocation is the first change', async (t) => {
  const store = openTemporaryStore(t)
  await addAccount(store, 'alice')
  await store.tokens.add(GATE_CONTEXT, newToken(1))
  const { id } = await store.audit.head()
  const release = lockDatabase(t, join(t.testdirName, 'data'))
  const changes = [
    store.note(GATE_CONTEXT, { action: 'repository.created' }),
    store.note(GATE_CONTEXT, { action: 'repository.created' }),
    store.tokens.revoke(GATE_CONTEXT, 1, NOON),
  ]
  await delay(50)
  release()
  await Promise.all(changes)
  const events = await store.audit.list({ limit: 10, after: id, oldestFirst: true })
  t.strictSame(
    events.map(({ action }) => action),
    ['token.revoked', 'repository.created', 'repository.created'],
  )
})

async function contentOf({ store }: World): Promise<unknown> {
  const tokens = (await store.tokens.list({})).map(({ id, revokedAt }) => [id, revokedAt])
  return [tokens, (await store.audit.head()).id]
}
