// Attacks on the handshake: ones that never finish, bytes that are none, new ones over and over, and a client that wants its own
// again. As in requests.test.ts, nobody else may notice.
import { once } from 'node:events'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { makeCertificates } from '../acceptance/certificates.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { requireProgram } from '../acceptance/programs.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { within } from '../acceptance/until.js'
import { ask, attack, dial, send } from './attack.js'

const SHUTDOWN_TIMEOUT_S = 3
const record = (type: number, length: number, body: string) =>
  Buffer.concat([Buffer.from([type, 3, 1, length >> 8, length & 0xff]), Buffer.from(body, 'latin1')])

/** What is no handshake, or none that ever ends. */
const BYTES: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'half a record': record(22, 512, '\x01\0\x01\xfc\x03\x03'),
  'a handshake of 16 MiB': record(22, 16_384, `\x01\xff\xff\xff\x03\x03${'\0'.repeat(16_378)}`),
  'empty records': Buffer.concat(Array.from({ length: 100_000 }, () => record(22, 0, ''))),
  alerts: Buffer.concat(Array.from({ length: 100_000 }, () => record(21, 2, '\x01\0'))),
  'plain HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10_000)),
  noise: Buffer.alloc(1_048_576, 'noise'),
}

t.test('hostile handshakes', { skip: requireProgram('openssl') }, async (t) => {
  const folder = temporaryFolder(t)
  const { cert, key } = makeCertificates(folder)
  const cli = new GitgateCli(folder, { GITGATE_SHUTDOWN_TIMEOUT: String(SHUTDOWN_TIMEOUT_S) })
  await cli.ask(['user', 'add', 'alice'])
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--tls-cert', cert, '--tls-key', key])
  const secure = (options: object = {}) => {
    const { port } = new URL(gate.url)
    const socket = connectTls({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false, ...options })
    return socket.on('error', () => undefined)
  }
  const isHealthy = (): Promise<boolean> =>
    ask(gate, '/-/health').then(
      ({ status }) => status === 200,
      () => false,
    )
  await isHealthy()

  for (const [name, bytes] of Object.entries(BYTES)) {
    await attack(t, gate, `${name} instead of a handshake`, () => send(gate, bytes))
    await attack(t, gate, `${name} instead of 300 handshakes`, async () => {
      const sockets = Array.from({ length: 300 }, () => dial(gate, bytes.subarray(0, 16_384)))
      for (let i = 0; i < 5; i++) t.ok(await within(100, isHealthy), 'it is healthy')
      for (const socket of sockets) socket.destroy()
    })
  }
  await attack(t, gate, 'handshakes one after the other, ten at a time', async () => {
    for (let count = 0; count < 20; count++) {
      const sockets = Array.from({ length: 10 }, () => secure())
      await Promise.all(sockets.map((socket) => once(socket, 'secureConnect').catch(() => undefined)))
      for (const socket of sockets) socket.destroy()
    }
  })
  await attack(t, gate, 'a client that wants its handshake again', async () => {
    const socket = secure({ maxVersion: 'TLSv1.2' })
    await once(socket, 'secureConnect')
    let again = 0
    // It isn't given one for good, or loses its connection.
    for (let isDone = true; isDone && !socket.destroyed && again < 100; again++) {
      isDone = false
      socket.once('close', () => (isDone = true))
      socket.renegotiate({ rejectUnauthorized: false }, () => (isDone = true))
      await within(50, () => isDone)
    }
    socket.destroy()
    t.ok(again < 20, `it gets ${again}`)
  })

  t.ok(await within(500, isHealthy), 'it is healthy')
  for (const bytes of [BYTES['nothing'], BYTES['half a record']]) dial(gate, bytes ?? '')
  const started = performance.now()
  t.equal(await gate.stop(), 0)
  t.ok(performance.now() - started < (SHUTDOWN_TIMEOUT_S + 2) * 1_000, 'SIGTERM ends it in time')
})
