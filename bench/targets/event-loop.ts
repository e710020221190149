import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { http } from '../../test/acceptance/http-client.js'
import type { Peer } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { history } from '../repositories/recipes.js'
import type { Findings } from '../result.js'
import { times } from '../rounds.js'
import type { Stage } from '../stage.js'

const PROGRAM = join(import.meta.dirname, '..', 'peers', 'watched-gate.js')
const COMMITS = 2_000
const PROBE_EVERY = 10

type Delays = { readonly p50: number; readonly p99: number; readonly max: number }

/**
 * Target 7: how late the event loop runs while many real gits clone at once. Measured in the gate, by a watch that is loaded
 * beside it; and from outside, where what a busy machine does to the probe counts, too.
 */
export async function benchEventLoop(stage: Stage, plan: Plan): Promise<Findings> {
  const file = join(stage.folder, 'delays.json')
  const variant = { program: PROGRAM, env: { BENCH_DELAYS: file } }
  const gate = await stage.startGate('gitgate', 'watched-gate', stage.embedded, variant)
  const repository = await stage.repository(history(COMMITS))
  const remote = stage.remote(gate, repository)
  await readDelays(gate, file)

  const probe = probeFrom(gate.url)
  await times(plan.loopClones, plan.loopClones, async (index) => {
    const clone = await stage.git.clone(remote, `loop-${index}.git`, '--quiet', '--bare')
    rmSync(clone, { recursive: true })
  })
  const { p50, p99, max } = await readDelays(gate, file)
  const outside = await probe.stop()
  const show = (value: number): string => value.toFixed(1)
  return {
    series: [],
    verdicts: [
      {
        target: 7,
        claim: `p99 delay of the event loop, ${plan.loopClones} clones at once`,
        unit: 'ms',
        bound: { most: 20 },
        values: [p99],
        note: `measured by a watch in the gate, which exports no metric yet: p50 ${show(p50)}, longest ${show(max)}; from outside, GET /-/health: p50 ${show(at(outside, 50))}, p99 ${show(at(outside, 99))}`,
      },
    ],
  }
}

/** Asks for the delays since the last time. */
async function readDelays(gate: Peer, file: string): Promise<Delays> {
  // No git runs now, so that these are the gate's own.
  for (const pid of gate.cpu.processes()) process.kill(pid, 'SIGUSR2')
  for (let i = 0; i < 500 && !existsSync(file); i++) await sleep(10)
  const delays = JSON.parse(readFileSync(file, 'utf8')) as Delays
  rmSync(file)
  return delays
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
