// Opens a gate in a process of its own and sends it each kind of hostile input on each route, with and without a token. Nothing may
// hold up its event loop for more than 200 ms, or take 400 MB, and afterwards it must serve a clone.
import { execFileSync } from 'node:child_process'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { Test } from 'tap'
import t from 'tap'
import { GitClient } from '../acceptance/git-client.js'
import type { GateProcess } from '../acceptance/gitgate-cli.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { http } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { within } from '../acceptance/until.js'
import type { Route } from './inputs.js'
import { INPUTS, message, ROUTES, withToken } from './inputs.js'

const MAX_DELAY_MS = 200
const MAX_RESIDENT_BYTES = 400 * 1_048_576
const TRIES = 3
const ANSWER_TIMEOUT_MS = 2_000
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

/** Does what an attacker does, and asserts by the gate's own figures that it harmed nobody. */
async function attack(t: Test, gate: GateProcess, name: string, work: () => Promise<void>): Promise<void> {
  let delay = Infinity
  let after = await measure(gate)
  // A delay that took no CPU of the gate's, or does not come again, is the machine's.
  for (let tries = 0; tries < TRIES && delay > MAX_DELAY_MS; tries++) {
    const before = after
    await work()
    after = await measure(gate)
    delay = Math.min(after.delayMs, after.cpuMs - before.cpuMs)
  }
  t.ok(delay <= MAX_DELAY_MS, `${name}: a delay of ${Math.round(delay)} ms`)
  t.ok(after.residentBytes < MAX_RESIDENT_BYTES, `${name}: ${Math.round(after.residentBytes / 1_048_576)} MiB resident`)
}

/** The longest delay of the gate's event loop since the last look, and what it has used so far. */
async function measure(gate: GateProcess): Promise<{ delayMs: number; cpuMs: number; residentBytes: number }> {
  let text = ''
  // Connections that the test has just closed may still count.
  const isRead = async (): Promise<boolean> => {
    const answer = await http(gate.url, '/-/metrics').catch(() => undefined)
    text = answer?.body ?? ''
    return answer?.status === 200
  }
  if (!(await within(2_000, isRead))) throw new Error('the gate does not answer')
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  return {
    delayMs: figure('nodejs_eventloop_lag_max_seconds') * 1_000,
    cpuMs: figure('process_cpu_seconds_total') * 1_000,
    residentBytes: figure('process_resident_memory_bytes'),
  }
}

/** Sends bytes over a connection of their own, until something is answered, or time is up. */
async function send(gate: GateProcess, bytes: string): Promise<void> {
  const socket = dial(gate, bytes)
  let isAnswered = false
  socket.once('data', () => (isAnswered = true))
  await within(ANSWER_TIMEOUT_MS / 8, () => isAnswered || socket.destroyed)
  socket.destroy()
}

function dial({ url }: GateProcess, bytes: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(bytes))
  socket.on('error', () => undefined)
  return socket
}
