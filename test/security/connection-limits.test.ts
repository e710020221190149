import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import { Connections } from '../../src/server/connections.js'
import { basic, http } from '../acceptance/http-client.js'
import { until, within } from '../acceptance/until.js'
import { createWorld } from '../acceptance/world.js'

// Attack: 228 requests to the API whose bodies never come, at `ulimit -n 256`. They used up the gate's descriptors for as long as
// the attacker liked, and `/-/health` was refused.

const FORM = 'Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n'
const HTML = 'Accept: text/html\r\n'

t.test('who is not authenticated has to send a request in time', async (t) => {
  const world = await createWorld(t, {}, undefined, { intervals: { requestTimeoutMs: 300 } })
  const git = 'Content-Type: application/x-git-upload-pack-request\r\nContent-Length: 100\r\n'
  await world.seedRepository('alice/app')
  for (const [name, bytes] of [
    ['nothing', ''],
    ['half a request line', 'GET /api'],
    ['half a header', 'GET / HTTP/1.1\r\nHost: x\r\nAccept:'],
    ['a half body for the API', `POST /api/v4/users HTTP/1.1\r\nHost: x\r\n${FORM}\r\na=`],
    [
      'a half query',
      `POST /api/graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
    ],
    ['a half sign-in', `POST /users/sign_in HTTP/1.1\r\nHost: x\r\n${HTML}${FORM}\r\nlogin=`],
    ['half a form that is nowhere', `POST /unknown HTTP/1.1\r\nHost: x\r\n${HTML}${FORM}\r\na=`],
    ['half a fetch', `POST /alice/app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n${git}\r\n0032`],
  ] as const) {
    const socket = dial(t, world.url, bytes)
    t.ok(await within(3_000, () => socket.destroyed), name)
  }
})

t.test('an authenticated Git request may take long', async (t) => {
  const world = await createWorld(t, {}, undefined, { intervals: { requestTimeoutMs: 1_000 } })
  await world.seedRepository('alice/app')
  // What answers is loaded by the first request, which must not count as the client's time.
  await world.http('/users/sign_in')
  const credential = basic('alice', await world.token('alice', 'read_repository'))
  const body = '0000'
  const head = `POST /alice/app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${credential}\r\nContent-Type: application/x-git-upload-pack-request\r\nExpect: 100-continue\r\n`
  const socket = dial(t, world.url, `${head}Content-Length: ${body.length}\r\n\r\n`)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  // The gate asks for the body once it has authenticated the client.
  await until(() => answer.startsWith('HTTP/1.1 100'))
  const late = dial(t, world.url, `POST /users/sign_in HTTP/1.1\r\nHost: x\r\n${HTML}${FORM}\r\n`)
  await until(() => late.destroyed)
  socket.write(body)
  t.ok(await within(3_000, () => answer.includes('HTTP/1.1 200')))
})

t.test('one address has so many connections, and a trusted proxy any number', async (t) => {
  for (const { trustedProxies, taken } of [
    { trustedProxies: '', taken: 5 },
    { trustedProxies: '127.0.0.1', taken: 8 },
  ]) {
    const world = await createWorld(t, { connectionsPerAddress: '5', trustedProxies })
    const sockets = Array.from({ length: 8 }, () => dial(t, world.url, 'GET /'))
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    const open = (): number => sockets.filter((socket) => !socket.destroyed).length
    t.ok(await within(1_000, () => open() === taken), `${taken} are open`)
    if (taken === 8) continue
    t.equal((await http(world.url, '/-/health')).status, 200, 'a further one replaces the oldest')
    t.ok(await within(1_000, () => open() === taken - 1))
  }
})

for (const [name, limits] of [
  ['in all', { perAddress: 1_000, total: 3 }],
  ['of one address', { perAddress: 3, total: 1_000 }],
] as const)
  t.test(`where there are too many ${name}, those that are idle make room for new ones`, (t) => makesRoom(t, limits))

async function makesRoom(t: Test, limits: { readonly perAddress: number; readonly total: number }): Promise<void> {
  const busy = new Set<number | undefined>()
  const server = createServer((socket) => {
    connections.begin(socket, () => busy.has(socket.remotePort))
    socket.on('error', () => undefined)
    socket.write('x')
  }).listen(0, '127.0.0.1')
  const connections = new Connections(server, { ...limits, isExempt: () => false }, () => undefined)
  t.teardown(() => {
    connections.closeAll()
    server.close()
  })
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const dialled = async (isBusy: boolean): Promise<Socket> => {
    const socket = dial(t, url, '')
    await once(socket, 'connect')
    if (isBusy) busy.add(socket.localPort)
    await once(socket, 'data')
    return socket
  }
  const [inUse, idle, later, newest] = [
    await dialled(true),
    await dialled(false),
    await dialled(false),
    await dialled(false),
  ]
  t.ok(await within(1_000, () => idle.destroyed), 'the oldest idle one ends')
  t.notOk(inUse.destroyed || later.destroyed || newest.destroyed)
}

t.test('connections that have ended are not counted', async (t) => {
  const world = await createWorld(t, { connectionsPerAddress: '2' })
  const password = await world.token('alice', 'read_repository')
  const headers = { Authorization: basic('', password) }
  for (let i = 0; i < 5; i++) t.equal((await world.http('/-/health', { headers })).status, 200)
})

function dial(t: Test, url: string, bytes: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes))
  socket.on('error', () => undefined)
  socket.resume()
  t.teardown(() => socket.destroy())
  return socket
}
