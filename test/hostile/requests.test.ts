// Opens a gate in a process of its own and sends it each kind of hostile input on each route, with and without a token. Nothing may
// hold up its event loop for more than 200 ms, or take 400 MB, and afterwards it must serve a clone.
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { http } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { within } from '../acceptance/until.js'
import { attack, dial, send } from './attack.js'
import type { Route } from './inputs.js'
import { INPUTS, message, ROUTES, withToken } from './inputs.js'

const SHUTDOWN_TIMEOUT_S = 3
const DESCRIPTORS = 256

t.test('hostile requests', async (t) => {
  const folder = temporaryFolder(t)
  const cli = new GitgateCli(folder, { GITGATE_SHUTDOWN_TIMEOUT: String(SHUTDOWN_TIMEOUT_S) })
  await cli.ask(['user', 'add', 'alice', '--admin'])
  const token = await cli.ask(['token', 'create', 'alice', '--name', 'n', '--scopes', 'api,write_repository'])
  const gate = await cli.serveProcess(t)
  execFileSync('prlimit', ['--pid', String(gate.child.pid), `--nofile=${DESCRIPTORS}`])
  const git = new GitClient(folder, 'alice')
  const remote = `${gate.url.replace('//', `//alice:${token}@`)}/alice/app.git`
  await git.run(['push', '-q', remote, 'main'], { cwd: await git.init('app') })
  // What is loaded on first use takes a while, once.
  for (const route of Object.keys(ROUTES) as Route[]) await send(gate, message(route))

  for (const [name, input] of Object.entries(INPUTS)) {
    if ('elsewhere' in input) {
      t.comment(`${name}: ${input.elsewhere}`)
      continue
    }
    for (const route of Object.keys(ROUTES) as Route[])
      await attack(t, gate, `${name} on ${route}`, async () => {
        for (const bytes of input.perRoute(route))
          for (const sent of [bytes, withToken(bytes, token)]) await send(gate, sent)
      })
  }

  await attack(t, gate, '20 wrong passwords, then a flood of requests on one connection', async () => {
    const guess = message('Git advertisement', [
      `Authorization: Basic ${Buffer.from('alice:wrong').toString('base64')}`,
    ])
    const flood = 'GET / HTTP/1.1\r\nHost:\r\n\r\n'.repeat(300_000)
    for (let i = 0; i < 20; i++) void send(gate, guess)
    await send(gate, guess + flood)
  })

  for (const route of Object.keys(ROUTES) as Route[]) {
    const half = message(route, ['Content-Type: application/json', 'Content-Length: 100'], '{').slice(0, -1)
    for (const bytes of ['', message(route).slice(0, -2), half]) {
      await attack(t, gate, `300 half-sent requests on ${route} (${bytes.length} bytes)`, async () => {
        const sockets = Array.from({ length: 300 }, () => dial(gate, bytes))
        const isHealthy = (): Promise<boolean> =>
          http(gate.url, '/-/health').then(
            ({ status }) => status === 200,
            () => false,
          )
        // A connection that is new to the gate may make room for those of the crowd behind it, once.
        for (let i = 0; i < 5; i++) t.ok(await within(50, isHealthy), 'it is healthy')
        for (const socket of sockets) socket.destroy()
      })
    }
  }

  await git.run(['clone', '-q', remote, 'clone'])
  t.ok(true, 'it serves a clone')

  dial(gate, message('health').slice(0, -2))
  dial(gate, message('Git advertisement') + 'GET / HTTP/1.1\r\nHost:\r\n\r\n'.repeat(300_000))
  dial(gate, 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n')
  const started = performance.now()
  t.equal(await gate.stop(), 0)
  t.ok(performance.now() - started < (SHUTDOWN_TIMEOUT_S + 2) * 1_000, 'SIGTERM ends it in time')
})
