import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { tcpUpstream } from '../git/upstream/stand-in.js'
import { basic, http, raw } from '../acceptance/http-client.js'
import { beginFetch, largeCommit, processesIn } from '../acceptance/transfers.js'
import { SLACK, within } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'

// Holes in the middle of transfers that were found by fault injection, each with the attack.

const GIT_HEAD = 'Content-Type: application/x-git-upload-pack-advertisement\r\n'
const PULL = '/team/app.git/info/refs?service=git-upload-pack'

// Attack: several fetches at once on one connection, which is then reset. Those that waited for their turn to answer did not
// hear of it, and their git ran on for ever.
t.test('pipelined requests do not outlive their client', async (t) => {
  const world = await createWorld(t)
  const large = await largeCommit(world.git, 'large', 20)
  const password = await world.token('alice', 'write_repository')
  await world.git.run(['push', '-q', world.remote('alice/app', password), 'main'], { cwd: large.folder })
  const disk = world.onDisk('alice/app')
  const packet = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text
  const body = `${packet(`want ${large.oid} side-band-64k no-progress\n`)}0000${packet('done\n')}`
  const head = `POST /alice/app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('', password)}\r\nContent-Type: application/x-git-upload-pack-request\r\nContent-Length: ${body.length}\r\n\r\n`
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1', () => socket.write((head + body).repeat(5)))
  socket.on('error', () => undefined)
  socket.pause()
  t.ok(await within(2_000, () => processesIn(disk).length > 0))
  await new Promise((done) => setTimeout(done, 300))
  t.ok(processesIn(disk).length <= 2, 'one at a time: upload-pack and what it has started')
  socket.resetAndDestroy()
  t.ok(await within(1_000, () => processesIn(disk).length === 0))
  const { answer } = await beginFetch({ url: world.url, path: 'alice/app', password }, large.oid)
  answer.resume()
  await once(answer, 'end')
})

t.test('requests one after the other on a connection are all answered', async (t) => {
  const world = await createWorld(t)
  const one = 'GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n'
  const last = one.replace('Host', 'Connection: close\r\nHost')
  const answers = await raw(world.url, one.repeat(20) + last)
  t.equal(answers.match(/GitGate OK/g)?.length, 21)
})

// Attack: the head of a push is sent, its token is revoked, and only then comes the body.
t.test('a push that was held back while its token was revoked is not done', async (t) => {
  const world = await createWorld(t)
  const { token, secret } = await world.issue('alice', ['write_repository'])
  const disk = await world.seedRepository('alice/app')
  const oid = await world.git.ask(['--git-dir', disk, 'rev-parse', 'main'])
  const begin = () => {
    const { hostname, port } = new URL(world.url)
    const headers = {
      Authorization: basic('', secret.reveal()),
      'Content-Type': 'application/x-git-receive-pack-request',
    }
    const push = request({
      hostname,
      port,
      path: '/alice/app.git/git-receive-pack',
      method: 'POST',
      headers,
      agent: false,
    })
    push.on('error', () => undefined)
    push.flushHeaders()
    return push
  }
  const command = `${'0'.repeat(40)} ${oid} refs/heads/parked\0 report-status`
  const body = Buffer.concat([
    Buffer.from(`${(command.length + 4).toString(16).padStart(4, '0')}${command}0000`, 'latin1'),
    Buffer.from('5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex'),
  ])
  const parked = begin()
  const quick = begin()
  await new Promise((done) => setTimeout(done, 200))
  await world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  quick.end(body)
  t.ok(await within(2_000, () => parked.destroyed || parked.socket?.destroyed === true), 'the one that waits is cut')
  t.equal(
    await world.git.ask(['--git-dir', disk, 'for-each-ref', 'refs/heads/parked']),
    '',
    'the one that hurried, too',
  )
})

async function before(t: Test, answer: string, isReset = false) {
  const upstream = await tcpUpstream(t, (socket) => {
    socket.write(answer)
    setTimeout(() => (isReset ? socket.resetAndDestroy() : socket.end()), 100)
  })
  const world = await createWorld(t, { upstreamTimeout: '5' }, upstream)
  await world.grant('alice', 'write', 'team/**')
  return { world, password: await world.token('alice', 'write_repository') }
}

// Attack: an answer that ends with its connection, which is reset. It came out as a whole, well-ended one.
t.test('an answer without a length that is reset is broken, too', async (t) => {
  const { world, password } = await before(t, `HTTP/1.0 200 OK\r\n${GIT_HEAD}\r\n0000`, true)
  await t.rejects(world.http(PULL, { password }))
  const whole = await before(t, `HTTP/1.0 200 OK\r\n${GIT_HEAD}\r\n0000`)
  t.equal((await whole.world.http(PULL, { password: whole.password })).body, '0000', 'one that is closed may pass')
})

t.test('an upstream that switches protocols, or codes its answer oddly, is a 502 at once', async (t) => {
  const answers = [
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    `HTTP/1.1 200 OK\r\n${GIT_HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n4\r\n0000\r\n0\r\n\r\n`,
  ]
  for (const answer of answers) {
    const { world, password } = await before(t, answer)
    const started = Date.now()
    t.equal((await world.http(PULL, { password })).status, 502, answer.slice(9, 40))
    t.ok(Date.now() - started < 2_000 * SLACK)
  }
})

t.test('an answer that a shared cache might keep is marked as none', async (t) => {
  const { world, password } = await before(
    t,
    `HTTP/1.1 200 OK\r\n${GIT_HEAD}Cache-Control: public, max-age=3600\r\nContent-Length: 4\r\n\r\n0000`,
  )
  t.equal((await world.http(PULL, { password })).headers['cache-control'], 'no-cache')
})

t.test('what the server behind has not is not put down to the grants', async (t) => {
  const { world, password } = await before(t, 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
  t.match(
    (await world.http(PULL, { password })).body,
    /The Git server behind this gate has neither team\/app\.git nor team\/app\./,
  )
})

t.test('a request in a transfer coding that is not chunked is refused', async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  const password = await world.token('alice', 'write_repository')
  const head = `POST /alice/app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${basic('', password)}\r\nContent-Type: application/x-git-upload-pack-request\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\n0000\r\n0\r\n\r\n`
  t.match(await raw(world.url, head), /^HTTP\/1\.1 (400|501) /)
  t.equal((await http(world.url, '/-/health')).status, 200)
})
