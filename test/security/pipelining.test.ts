import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import { basic, http } from '../acceptance/http-client.js'
import { until, within } from '../acceptance/until.js'
import type { World } from '../acceptance/world.js'
import { createWorld } from '../acceptance/world.js'
import { kindAt, tcpUpstream } from '../git/upstream/stand-in.js'

// Attack: a request that takes a while, then thousands of `GET / HTTP/1.1\r\nHost:\r\n\r\n` on the same connection. The gate read
// and parsed them all, and kept a listener on the socket for each: 1.2 MB blocked it for a minute, 7.5 MB for ten, with a
// gigabyte of memory, and SIGTERM did nothing.

const SMALL = 'GET / HTTP/1.1\r\nHost:\r\n\r\n'

t.test('a flood of requests behind one in flight ends its connection', async (t) => {
  const { world, socket } = await busyConnection(t)
  socket.write(SMALL.repeat(300_000))
  t.ok(await within(1_000, () => socket.destroyed))
  t.ok(await within(1_000, () => requestsIn(world) === 1), 'none of them was served')
  t.equal((await http(world.url, '/-/health')).status, 200)
})

t.test('a connection with a request in flight is not read far ahead, and then read on', async (t) => {
  const { world, socket, answer } = await busyConnection(t)
  const count = 3_000
  const large = `GET /-/health HTTP/1.1\r\nHost: x\r\nX-Padding: ${'x'.repeat(4_096)}\r\n\r\n`
  socket.write(large.repeat(count))
  // What the gate does not read stays in the client, beyond the few megabytes that the kernel takes.
  const left = (): number => socket.writableLength
  let before = -1
  await until(async () => {
    const isStill = left() === before
    before = left()
    await new Promise((done) => setTimeout(done, 100))
    return isStill
  })
  t.ok(left() > 2 * 1_048_576, `${left()} bytes are left`)

  let body = ''
  socket.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
  answer()
  t.ok(await within(10_000, () => body.split('GitGate OK').length - 1 === count), 'all are answered')
  t.equal(requestsIn(world), count + 1)
})

t.test('a request with a body that waits for its turn gets all of it', async (t) => {
  const { socket, answer } = await busyConnection(t)
  const form = `login=nobody&password=${'x'.repeat(8_000)}`
  const head =
    'POST /users/sign_in HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\n'
  const padded = `GET /-/health HTTP/1.1\r\nHost: x\r\nX-Padding: ${'x'.repeat(4_000)}\r\n\r\n`
  let body = ''
  socket.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
  socket.write(padded.repeat(20) + `${head}Content-Length: ${form.length}\r\n\r\n${form}${SMALL}`)
  answer()
  t.ok(await within(5_000, () => /403 Forbidden.*This is gitgate/s.test(body)), 'and so does the next one')
})

t.test('a client that does not close its side does not keep a refused connection', async (t) => {
  const world = await createWorld(t)
  const { port } = new URL(world.url)
  for (const bytes of ['no HTTP\r\n\r\n', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n']) {
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(bytes))
    socket.on('error', () => undefined)
    socket.resume()
    await once(socket, 'end')
    t.ok(await within(3_000, () => isGone(socket)), bytes)
  }
})

/** A connection with a request in flight, at a gate whose upstream is slow. `answer`: has the upstream answer */
async function busyConnection(t: Test): Promise<{ world: World; socket: Socket; answer: () => void }> {
  let waiting: Socket | undefined
  const upstream = await tcpUpstream(t, (socket) => (waiting = socket))
  const world = await createWorld(t, {}, kindAt(upstream.url))
  const token = await world.token('root', 'read_repository')
  await world.grant('root', 'read', '**')
  const head = `GET /team/app.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('', token)}\r\n\r\n`
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1', () => socket.write(head))
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  await until(() => waiting !== undefined)
  const answer = (): void => void waiting?.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  return { world, socket, answer }
}

/** How many requests over the connection the log knows of: each that was served, and the one in flight. */
function requestsIn(world: World): number {
  return world.log.split('\n').filter((line) => /"method":"GET"/.test(line)).length
}

/** Whether the other side has gone: what is written to it fails. */
function isGone(socket: Socket): boolean {
  if (!socket.destroyed) socket.write('x')
  return socket.destroyed
}
