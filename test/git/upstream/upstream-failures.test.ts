import { once } from 'node:events'
import { createServer as createTlsServer } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { SLACK } from '../../acceptance/until.js'
import { makeCertificates } from '../../acceptance/certificates.js'
import { basic } from '../../acceptance/http-client.js'
import { requireProgram } from '../../acceptance/programs.js'
import type { World } from '../../acceptance/world.js'
import { createWorld } from '../../acceptance/world.js'
import { freePort } from '../../backends/backend.js'
import { COMMANDS, httpUpstream, kindAt, tcpUpstream } from './stand-in.js'

// A client, gate or server that dies leaves no request hanging, and no half response that looks complete.

const PULL = '/team/app.git/info/refs?service=git-upload-pack'
const UPLOAD = { 'Content-Type': 'application/x-git-upload-pack-result' }
const RECEIVE = { 'Content-Type': 'application/x-git-receive-pack-result' }
const GIT_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n'

async function admit(world: World): Promise<string> {
  await world.grant('alice', 'write', 'team/**')
  return await world.token('alice', 'write_repository')
}

/** Begins a push whose body goes on until the caller ends it. */
function beginPush(world: World, password: string, service = 'git-receive-pack') {
  const { hostname, port } = new URL(world.url)
  const headers = { Authorization: basic('', password), 'Content-Type': `application/x-${service}-request` }
  return httpRequest({ hostname, port, path: `/team/app.git/${service}`, method: 'POST', headers, agent: false })
}

t.test('an upstream that dies or sends no HTTP before its head is complete is a 502', async (t) => {
  const answers: Record<string, (socket: Socket) => void> = {
    'closes at once': (socket) => socket.destroy(),
    'dies in mid-header': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Ty'),
    'talks nonsense': (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
    'sends gigabytes of headers': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const flood = setInterval(() => socket.write(`X: ${'x'.repeat(60_000)}\r\n`), 1)
      socket.on('close', () => clearInterval(flood))
    },
    'gives two lengths': (socket) => socket.end(`${GIT_HEAD}Content-Length: 4\r\nContent-Length: 5\r\n\r\n0000`),
  }
  for (const [name, answer] of Object.entries(answers)) {
    const world = await createWorld(t, {}, await tcpUpstream(t, answer))
    const { status, body } = await world.http(PULL, { password: await admit(world) })
    t.equal(status, 502, name)
    t.match(body, /^The Git server did not answer this request\./)
  }
})

t.test('an upstream that dies during its response breaks the transfer, which never looks complete', async (t) => {
  const answers: Record<string, (socket: Socket) => void> = {
    'in mid-chunk': (socket) => socket.end(`${GIT_HEAD}Transfer-Encoding: chunked\r\n\r\n10\r\n001e# serv`),
    'between chunks': (socket) => socket.end(`${GIT_HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\n0000\r\n`),
    'in mid-trailer': (socket) => socket.end(`${GIT_HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\n0000\r\n0\r\nX-Trai`),
    'before its length': (socket) => socket.end(`${GIT_HEAD}Content-Length: 100\r\n\r\n0000`),
    'by a reset': (socket) =>
      socket.write(`${GIT_HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\n0000\r\n`, () => socket.resetAndDestroy()),
  }
  for (const [name, answer] of Object.entries(answers)) {
    const world = await createWorld(t, {}, await tcpUpstream(t, answer))
    const password = await admit(world)
    await t.rejects(world.http(PULL, { password }), name)
    const git = await world.git.run(['ls-remote', world.remote('team/app', password)], { status: 'any' })
    t.not(git.status, 0, `git fails where it dies ${name}`)
    t.match(world.log, /"decision":"failed"/)
  }
})

t.test('an upstream that can not be reached is a 502 that git prints; a silent one is a 504', async (t) => {
  const away = await createWorld(t, {}, kindAt(`http://127.0.0.1:${await freePort()}`))
  const { stderr } = await away.git.run(['ls-remote', away.remote('team/app', await admit(away))], { status: 128 })
  t.match(stderr, /remote: The Git server did not answer this request\./)
  t.match(stderr, /error: 502/)
  t.equal((await away.http('/-/readiness')).status, 503)

  const silent = await createWorld(t, { upstreamTimeout: '1' }, await tcpUpstream(t, () => undefined))
  const git = await silent.git.run(['ls-remote', silent.remote('team/app', await admit(silent))], { status: 128 })
  t.match(git.stderr, /remote: The Git server took too long to answer\./)
  t.match(git.stderr, /error: 504/)
})

t.test('a long, slow response is not cut off by the timeout for its head', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume()
    response.writeHead(200, UPLOAD)
    let left = 15
    const trickle = setInterval(() => {
      response.write('0005\x01')
      if (--left > 0) return
      clearInterval(trickle)
      response.end('0000')
    }, 100)
  })
  const world = await createWorld(t, { upstreamTimeout: '1' }, upstream)
  const push = beginPush(world, await admit(world), 'git-upload-pack')
  push.end('0014some wants......')
  const [answer] = (await once(push, 'response')) as [IncomingMessage]
  let length = 0
  for await (const chunk of answer) length += (chunk as Buffer).length
  t.equal(length, 15 * 5 + 4)
})

t.test('a push that takes longer to send than the timeout for the response’s head is not cut off', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.on('end', () => response.writeHead(200, RECEIVE).end('0000'))
    request.resume()
  })
  const world = await createWorld(t, { upstreamTimeout: '1' }, upstream)
  const push = beginPush(world, await admit(world))
  push.write(COMMANDS)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  push.end('PACK')
  const [answer] = (await once(push, 'response')) as [IncomingMessage]
  t.equal(answer.statusCode, 200)
  answer.resume()
})

t.test('an early response to a push reaches the client while it still sends', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.once('data', () => response.writeHead(200, RECEIVE).end('0011an early end.0000'))
    request.on('error', () => undefined)
    request.resume()
  })
  const world = await createWorld(t, {}, upstream)
  const push = beginPush(world, await admit(world))
  push.write(COMMANDS)
  const [answer] = (await once(push, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of answer) body += String(chunk)
  t.equal(body, '0011an early end.0000')
  for (let i = 0; i < 20; i++) push.write(Buffer.alloc(65_536))
  push.end()
  await once(push, 'close')
})

t.test('a refusal during a push reaches the client immediately, though the upstream stops reading', async (t) => {
  const world = await createWorld(
    t,
    {},
    await tcpUpstream(t, (socket) =>
      socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    ),
  )
  const push = beginPush(world, await admit(world))
  push.on('error', () => undefined)
  push.write(COMMANDS)
  const [answer] = (await once(push, 'response')) as [IncomingMessage]
  t.equal(answer.statusCode, 413)
  answer.resume()
  push.destroy()
})

t.test('when a client leaves, its request to the upstream ends within a second', async (t) => {
  for (const phase of ['while sending', 'while waiting', 'while reading'] as const) {
    let left: Promise<unknown> = Promise.reject(new Error('no request came'))
    left.catch(() => undefined)
    let arrived = (): void => undefined
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const upstream = await httpUpstream(t, (request, response) => {
      left = once(response, 'close')
      request.on('error', () => undefined)
      request.resume()
      if (phase === 'while reading') response.writeHead(200, RECEIVE).write('0005\x01')
      arrived()
    })
    const world = await createWorld(t, {}, upstream)
    const push = beginPush(world, await admit(world))
    push.on('error', () => undefined)
    if (phase === 'while sending') push.write(COMMANDS)
    else push.end(COMMANDS)
    await arrival
    if (phase === 'while reading') await once(push, 'response')
    const started = Date.now()
    push.destroy()
    await left
    t.ok(Date.now() - started < 1_000 * SLACK, phase)
  }
})

t.test('the next request survives an idle connection that the upstream has closed', async (t) => {
  let connections = 0
  const upstream = await tcpUpstream(t, (socket) => {
    connections += 1
    // Says that it keeps the connection, and closes it a moment later.
    socket.write(`${GIT_HEAD}Content-Length: 4\r\nConnection: keep-alive\r\n\r\n0000`)
    socket.once('data', () => socket.resetAndDestroy())
  })
  const world = await createWorld(t, {}, upstream)
  const password = await admit(world)
  for (let i = 0; i < 3; i++) t.equal((await world.http(PULL, { password })).status, 200)
  t.ok(connections >= 3)
})

t.test('an HTTPS upstream is trusted only by the configured CA', { skip: requireProgram('openssl') }, async (t) => {
  const { ca, cert, key } = makeCertificates(t.testdir())
  const options = { cert: readFileSync(cert), key: readFileSync(key) }
  const server = createTlsServer(options, (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-advertisement' }).end('0000')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const kind = kindAt(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const trusting = await createWorld(t, { upstreamCa: ca }, kind)
  t.equal((await trusting.http(PULL, { password: await admit(trusting) })).status, 200)
  const distrusting = await createWorld(t, {}, kind)
  t.equal((await distrusting.http(PULL, { password: await admit(distrusting) })).status, 502)
  t.match(distrusting.log, /certificate/)
})
