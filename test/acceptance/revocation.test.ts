import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openStore } from '../../src/storage/open.js'
import { nginx } from '../backends/nginx.js'
import { httpUpstream } from '../git/upstream/stand-in.js'
import { makeCertificates } from './certificates.js'
import { requireProgram } from './programs.js'
import { TEST_INTERVALS } from './gitgate-cli.js'
import { beginFetch, beginPush, largeCommit, quarantinesIn, packOf, processesIn } from './transfers.js'
import { SLACK, within } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'
import { temporaryFolder } from './temporary-folder.js'

// Who is let in no longer is cut off in the middle, within two seconds, whoever else's process revoked it.

const PROMISED = 2_000
// What ends the answer where the client takes it in time.
const REVOKED_MESSAGE = /\x03(token "test" was revoked|access has ended: [a-z ]+)\n$/
// By words, where what was sent by then fits into what the kernel holds, as on a busy machine; else by a reset.
const CUT_OFF = /^(ECONNRESET|message)$/

/** What another process does to the store, such as the command line. */
async function elsewhere(
  world: World,
  change: (store: ReturnType<typeof openStore>) => Promise<unknown>,
): Promise<void> {
  const store = openStore(join(world.folder, 'data'), undefined)
  await change(store)
  await store.close()
}

/** Reads an answer a little at a time, so that nearly all of it is still to be sent. */
function readSlowly(answer: IncomingMessage) {
  let bytes = 0
  let error: string | undefined
  let said = ''
  const take = (chunk: Buffer): void => {
    bytes += chunk.length
    said = (said + chunk.toString('latin1')).slice(-200)
  }
  const sip = setInterval(() => {
    const chunk = answer.read(1_000) as Buffer | null
    if (chunk !== null) take(chunk)
  }, 50)
  answer.on('error', (cause) => (error = 'code' in cause ? String(cause.code) : cause.message))
  return {
    /** Waits until something has been read. */
    begun: () => within(10_000, () => bytes > 0),
    /** The end of what was read. */
    said: () => said,
    /** Reads on at full speed: only what this side's kernel holds already can come. @returns how it ended */
    end: async (): Promise<string | undefined> => {
      clearInterval(sip)
      answer.on('data', take)
      let isEnded = answer.readableEnded
      answer.on('end', () => (isEnded = true))
      await within(10_000, () => error !== undefined || isEnded)
      const ending = REVOKED_MESSAGE.test(said) ? 'message' : error
      return bytes < 20 * 1_048_576 ? ending : `${ending ?? 'no error'} after ${bytes} bytes`
    },
  }
}

/** Whether the gate logs within the promised time that it has cut a transfer, for this reason. */
async function cutWithinPromise(world: World, rule: string): Promise<boolean> {
  const isCut = (line: string) => line.includes('"decision":"revoked"') && line.includes(`"rule":"${rule}"`)
  return await within(PROMISED, () => world.log.split('\n').some(isCut))
}

async function populate(t: Test, kind?: typeof nginx) {
  const world = await createWorld(t, {}, kind)
  await world.grant('alice', 'write', 'team/**')
  const disk = await world.createRepository('team/app')
  const large = await largeCommit(world.git, 'large', 30)
  const { token, secret } = await world.issue('alice', ['write_repository'])
  const password = secret.reveal()
  await world.git.run(['push', '-q', world.remote('team/app', password), 'main'], { cwd: large.folder })
  return { world, disk, large, token, password, place: { url: world.url, path: 'team/app', password } }
}

t.test('a running clone ends when its token, its account or its grant does', async (t) => {
  const { world, disk, large, token, place } = await populate(t)
  const { token: spare, secret } = await world.issue('alice', ['read_repository'])
  const ways: [string, string, (store: ReturnType<typeof openStore>) => Promise<unknown>][] = [
    ['the grant is removed', 'no grant', (store) => store.grants.remove(GATE_CONTEXT, 'alice', 'team/**')],
    [
      'the account is blocked',
      'account blocked',
      (store) => store.accounts.setState(GATE_CONTEXT, token.userId, 'blocked'),
    ],
    ['the token is revoked', 'token revoked', (store) => store.tokens.revoke(GATE_CONTEXT, spare.id, world.now)],
  ]
  for (const [name, rule, change] of ways) {
    await world.grant('alice', 'write', 'team/**')
    await world.store.accounts.setState(GATE_CONTEXT, token.userId, 'active')
    const { answer } = await beginFetch({ ...place, password: secret.reveal() }, large.oid)
    const reader = readSlowly(answer)
    await reader.begun()
    await elsewhere(world, change)
    t.ok(await cutWithinPromise(world, rule), `${name}: the log says so in time`)
    t.match(await reader.end(), CUT_OFF, 'so that nothing more is delivered')
    t.ok(await within(1_000, () => processesIn(disk).length === 0), 'its git is gone')
  }
})

t.test('a running push ends when its token is revoked, and changes nothing', async (t) => {
  const { world, disk, large, token, place } = await populate(t)
  const push = beginPush(place, large.oid, packOf(large).subarray(0, 10_000_000))
  const ended = new Promise<void>((resolve) => push.on('close', () => resolve()))
  t.ok(await within(5_000, () => quarantinesIn(disk).length > 0))
  const started = Date.now()
  await elsewhere(world, (store) => store.tokens.revoke(GATE_CONTEXT, token.id, world.now))
  await ended
  t.ok(Date.now() - started < PROMISED * SLACK)
  t.ok(await within(1_000, () => processesIn(disk).length === 0), 'git')
  t.ok(await within(1_000, () => quarantinesIn(disk).length === 0), quarantinesIn(disk).join(' '))
  t.equal(await world.git.ask(['--git-dir', disk, 'for-each-ref', 'refs/heads/pushed']), '')
})

t.test('other changes cut nobody off', async (t) => {
  const { world, large, place } = await populate(t)
  const { answer } = await beginFetch(place, large.oid)
  await elsewhere(world, (store) =>
    store.settings.set(GATE_CONTEXT, new Map([['git_basic_auth_maxretry', '5']]), world.now),
  )
  await elsewhere(world, (store) =>
    store.grants.put(GATE_CONTEXT, { subject: 'mallory', role: 'read', pattern: '**' }, world.now),
  )
  // Several looks at the epoch.
  await new Promise((resolve) => setTimeout(resolve, 6 * TEST_INTERVALS.epochPollMs))
  let length = 0
  for await (const chunk of answer) length += (chunk as Buffer).length
  t.ok(length > large.size)
})

t.test('through an upstream, its request goes, too', async (t) => {
  let closed = false
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume()
    response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-result' })
    const flow = setInterval(() => response.write('0005\x01'), 50)
    response.on('close', () => {
      closed = true
      clearInterval(flow)
    })
  })
  const world = await createWorld(t, {}, upstream)
  await world.grant('alice', 'read', 'team/**')
  const { token, secret } = await world.issue('alice', ['read_repository'])
  const { answer } = await beginFetch({ url: world.url, path: 'team/app', password: secret.reveal() }, '1'.repeat(40))
  const reader = readSlowly(answer)
  await elsewhere(world, (store) => store.tokens.revoke(GATE_CONTEXT, token.id, world.now))
  t.ok(await within(PROMISED, () => closed))
  t.equal(await reader.end(), 'message', 'who has read all gets a normal end')
  t.match(reader.said(), /^0005\x01.*001e\x03token "test" was revoked\n$/s)
})

t.test('before nginx', { skip: requireProgram(...nginx.programs) }, async (t) => {
  const { world, disk, large, token, place } = await populate(t, nginx)
  const { answer } = await beginFetch(place, large.oid)
  const reader = readSlowly(answer)
  await elsewhere(world, (store) => store.tokens.revoke(GATE_CONTEXT, token.id, world.now))
  t.ok(await cutWithinPromise(world, 'token revoked'))
  t.match(await reader.end(), CUT_OFF)
  t.ok(await within(2_000, () => processesIn(disk).length === 0))
})

t.test('over HTTPS', { skip: requireProgram('openssl') }, async (t) => {
  const { cert, key } = makeCertificates(temporaryFolder(t))
  const world = await createWorld(t, { tlsCert: cert, tlsKey: key })
  const large = await largeCommit(world.git, 'large', 30)
  const { token, secret } = await world.issue('alice', ['write_repository'])
  const remote = world.remote('alice/app', secret.reveal())
  await world.git.run(['-c', 'http.sslVerify=false', 'push', '-q', remote, 'main'], { cwd: large.folder })
  const place = { url: world.url, path: 'alice/app', password: secret.reveal() }
  const { answer } = await beginFetch(place, large.oid)
  const reader = readSlowly(answer)
  await elsewhere(world, (store) => store.tokens.revoke(GATE_CONTEXT, token.id, world.now))
  t.ok(await cutWithinPromise(world, 'token revoked'))
  t.match(await reader.end(), CUT_OFF)
})
