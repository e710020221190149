import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { GitClient } from '../../test/acceptance/git-client.js'
import { http } from '../../test/acceptance/http-client.js'
import type { Plan } from '../plan.js'
import { history } from '../repositories/recipes.js'
import type { Findings } from '../result.js'
import { times } from '../rounds.js'
import type { Stage } from '../stage.js'

const COMMITS = 2_000
const PROBE_EVERY = 10
// The gate's own watch looks so often, and what it tells begins there.
const POLL_INTERVAL_MS = 10

const WHY =
  'the clients run on the same cores, so the gate waits for a CPU longer than it works. Tried and kept: a helper process starts Git, which blocks the event loop for 0.02 ms instead of 5; a separate thread writes audit events; long responses are not copied. Tried without effect: Git at a lower priority'

/**
 * Target 7: how late the event loop runs while many real gits clone at once, as the gate's own metric tells it. Clients have
 * machines of their own where it matters; here they get what the gate and its gits leave of the processors. How long the gate
 * was ready to run and none was free is told beside it.
 */
export async function benchEventLoop(stage: Stage, plan: Plan): Promise<Findings> {
  const gate = await stage.startGate('gitgate', 'event-loop', stage.embedded)
  const repository = await stage.repository(history(COMMITS))
  const remote = stage.remote(gate, repository)
  const [pid = 0] = gate.cpu.processes()
  const elsewhere = new GitClient(stage.folder, 'elsewhere', ['nice', '-n', '19', 'git'])
  await readDelays(gate.url)
  const before = readWaits(pid)

  const probe = probeFrom(gate.url)
  await times(plan.loopClones, plan.loopClones, async (index) => {
    const clone = await elsewhere.clone(remote, `loop-${index}.git`, '--quiet', '--bare')
    rmSync(clone, { recursive: true })
  })
  const { p50, p99, max } = await readDelays(gate.url)
  const after = readWaits(pid)
  const outside = await probe.stop()
  const show = (value: number): string => value.toFixed(1)
  const waited = `${show((after.waited - before.waited) / 1e9)} s ready without a processor, ${show((after.ran - before.ran) / 1e9)} s at work`
  return {
    series: [],
    verdicts: [
      {
        target: 7,
        claim: `p99 delay of the event loop, ${plan.loopClones} clones at once`,
        unit: 'ms',
        bound: { most: 20 },
        values: [p99],
        note: `the gate's own metric: p50 ${show(p50)}, longest ${show(max)}; its main thread was ${waited}; from outside, GET /-/health: p50 ${show(at(outside, 50))}, p99 ${show(at(outside, 99))}`,
        why: WHY,
      },
    ],
  }
}

/** Milliseconds since the last time. */
async function readDelays(url: string): Promise<{ readonly p50: number; readonly p99: number; readonly max: number }> {
  const { body } = await http(url, '/-/metrics')
  const read = (name: string): number => {
    const seconds = new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)$`, 'm').exec(body)?.[1]
    return Number(seconds) * 1_000 - POLL_INTERVAL_MS
  }
  return { p50: read('p50'), p99: read('p99'), max: read('max') }
}

/** Nanoseconds that the main thread of a process ran, and was ready to (/proc/PID/schedstat). */
function readWaits(pid: number): { readonly ran: number; readonly waited: number } {
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  return { ran: ran ?? Number.NaN, waited: waited ?? Number.NaN }
}

/** Asks for the gate's health again and again. @returns milliseconds that the answers took, sorted */
function probeFrom(url: string): { stop(): Promise<readonly number[]> } {
  const took: number[] = []
  const end = new AbortController()
  const probing = (async () => {
    while (!end.signal.aborted) {
      const started = performance.now()
      await http(url, '/-/health')
      took.push(performance.now() - started)
      await sleep(PROBE_EVERY)
    }
  })()
  return {
    async stop() {
      end.abort()
      await probing
      return took.toSorted((a, b) => a - b)
    },
  }
}

function at(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}
