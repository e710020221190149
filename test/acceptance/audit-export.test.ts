// Fault: audit export that could not deliver was told in the log alone: readiness, metrics and the doctor said that all is well.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { freePort } from '../backends/backend.js'
import { GitgateCli } from './gitgate-cli.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'

type Diagnosis = { check: string; status: string; message: string }

/** A gate that exports audit events, and what it says about that. */
async function exporting(t: Test, cli: GitgateCli, ...flags: readonly string[]) {
  const gate = await cli.serve(t, ['serve', '--port', '0', ...flags])
  const readiness = async () => {
    const { status, body } = await http(gate.url, '/-/readiness')
    return { status, body: JSON.parse(body) as Record<string, string> }
  }
  return {
    gate,
    readiness,
    isDegraded: async () => (await readiness()).body['status'] === 'degraded',
    isWell: async () => (await readiness()).body['status'] === 'ok',
    metric: async (line: RegExp) => line.test((await http(gate.url, '/-/metrics')).body),
    diagnosis: async () => {
      const { status, stdout } = await cli.run(['doctor', '--json'])
      const diagnoses = JSON.parse(stdout) as Diagnosis[]
      return { status, diagnosis: diagnoses.find(({ check }) => check === 'audit-export') }
    },
  }
}

t.test('a file that can not be written: degraded, and well again once it can', async (t) => {
  const file = join(temporaryFolder(t), 'logs', 'audit.jsonl')
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_AUDIT_LOG: file })
  const { gate, readiness, isDegraded, isWell, metric, diagnosis } = await exporting(t, cli)
  t.match(await readiness(), { status: 200, body: { status: 'ok', audit_export: 'ok' } })
  t.match(await diagnosis(), { diagnosis: { status: 'ok', message: `${file}; 0 events waiting` } })
  await cli.ask(['user', 'add', 'alice'])
  await until(isDegraded)
  t.match(
    await readiness(),
    { status: 200, body: { status: 'degraded', store: 'ok', repositories: 'ok', audit_export: 'degraded' } },
    'a load balancer keeps it',
  )
  t.equal((await http(gate.url, '/-/health')).status, 200)
  t.ok(await metric(/^gitgate_degraded\{part="audit_export"\} 1$/m))
  t.ok(await metric(/^gitgate_audit_export_waiting_events 1$/m))
  t.match(await diagnosis(), {
    status: 1,
    diagnosis: {
      status: 'problem',
      message: / has accepted no audit events since \d{4}-.*: ENOENT: .*; 1 are waiting$/,
    },
  })

  mkdirSync(dirname(file))
  await until(isWell)
  t.match(readFileSync(file, 'utf8'), '"target":"user:alice"')
  t.ok(await metric(/^gitgate_degraded\{part="audit_export"\} 0$/m))
  t.ok(await metric(/^gitgate_audit_export_waiting_events 0$/m))
  t.match(await diagnosis(), { diagnosis: { status: 'ok' } })
})

t.test('a syslog server that takes no connection: each worker says so', async (t) => {
  const port = await freePort()
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_AUDIT_LOG: `syslog+tcp://127.0.0.1:${port}` })
  const gate = await cli.serveProcess(t, ['serve', '--port', '0', '--workers', '2'])
  const status = async () => (JSON.parse((await http(gate.url, '/-/readiness')).body) as { status: string }).status
  await cli.ask(['user', 'add', 'alice'])
  // Which of them answers is up to the system.
  for (let time = 0; time < 10; time += 1) await until(async () => (await status()) === 'degraded')
  t.match((await http(gate.url, '/-/metrics')).body, /^gitgate_degraded\{part="audit_export"\} 1$/m)
  let received = ''
  const server = createServer((socket) => socket.on('data', (chunk: Buffer) => (received += chunk.toString())))
  t.teardown(() => server.close())
  server.listen(port, '127.0.0.1')
  await until(async () => (await status()) === 'ok')
  // Whichever arrives first here.
  await until(() => received.includes('user:alice'))
  await gate.stop()
})

t.test('what a full disk cut off does not swallow the next event', async (t) => {
  const file = join(temporaryFolder(t), 'audit.jsonl')
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_AUDIT_LOG: file })
  await exporting(t, cli)
  writeFileSync(file, '{"id":1,"act')
  await cli.ask(['user', 'add', 'alice'])
  await until(() => readFileSync(file, 'utf8').endsWith('}\n'))
  const [torn, ...lines] = readFileSync(file, 'utf8').trim().split('\n')
  t.equal(torn, '{"id":1,"act')
  t.match(
    lines.map((line) => JSON.parse(line) as unknown),
    [{ target: 'user:alice' }],
  )
})

// A write to a FIFO that nobody reads used to wait for ever, unseen, and with it the end of the gate.
t.test('a FIFO that nobody reads: degraded, and the gate still ends', async (t) => {
  const fifo = join(temporaryFolder(t), 'audit.fifo')
  execFileSync('mkfifo', [fifo])
  const cli = new GitgateCli(temporaryFolder(t), { GITGATE_AUDIT_LOG: fifo })
  const { gate, isDegraded } = await exporting(t, cli)
  await cli.ask(['user', 'add', 'alice'])
  await until(isDegraded)
  t.equal(await gate.stop(), 0)
  t.ok(existsSync(fifo))
})
