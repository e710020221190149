// A worker that hangs is noticed, killed and replaced, and until then takes nothing else with it. The primary runs in this
// process, with short intervals.
import cluster from 'node:cluster'
import type { Test } from 'tap'
import t from 'tap'
import { GitgateCli, PROGRAM } from './gitgate-cli.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'
import { commandOf } from './transfers.js'
import { until } from './until.js'

cluster.setupPrimary({ exec: PROGRAM })

async function serveWithTwoWorkers(t: Test) {
  const cli = new GitgateCli(temporaryFolder(t))
  const gate = await cli.serve(t, ['serve', '--port', '0', '--workers', '2'])
  return { gate, pids: workerPids() }
}

function workerPids(): number[] {
  return Object.values(cluster.workers ?? {}).flatMap((worker) => worker?.process.pid ?? [])
}

t.test('a worker that hangs is logged, killed and replaced', async (t) => {
  const { gate, pids } = await serveWithTwoWorkers(t)
  const [hung = 0, other] = pids
  process.kill(hung, 'SIGSTOP')
  await until(() => /"msg":"worker exited; starting another"/.test(gate.said.stderr))
  await until(() => commandOf(hung) === '' && workerPids().length === 2)
  const events = gate.said.stderr.split('\n').filter((line) => line.includes('"worker":'))
  t.match(JSON.parse(events[0]!), { worker: 0, pid: hung, msg: 'worker does not respond; killing it' })
  t.match(JSON.parse(events[1]!), { pid: hung, ended: 'SIGKILL', msg: 'worker exited; starting another' })
  t.ok(workerPids().includes(other!), 'the other worker goes on')
  await until(async () => /^gitgate_workers_reporting 2$/m.test((await http(gate.url, '/-/metrics')).body))
  t.equal(await gate.stop(), 0)
})

t.test('metrics are served without a worker that hangs, and say so', async (t) => {
  const { gate, pids } = await serveWithTwoWorkers(t)
  t.match((await http(gate.url, '/-/metrics')).body, /^gitgate_workers_reporting 2$/m)
  // The next connection goes to the other worker: they take turns.
  process.kill(pids[0] ?? 0, 'SIGSTOP')
  const { body } = await http(gate.url, '/-/metrics')
  t.match(body, /^gitgate_workers 2$/m)
  t.match(body, /^gitgate_workers_reporting 1$/m)
  t.match(body, /^process_resident_memory_bytes \d+$/m)
})
