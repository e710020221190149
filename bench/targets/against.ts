import type { Load } from '../client/load.js'
import { Meter } from '../meter.js'
import type { Peer } from '../peers/peer.js'
import type { PairedSamples, Side } from '../report/against.js'
import { small } from '../repositories/recipes.js'
import type { Stage } from '../stage.js'
import type { GateLoads } from './hot-path.js'
import { openGate } from './hot-path.js'

// Three processes of each, so that no row depends on how one was compiled; while one settles, the others are measured.
const PAIRS = 3
const SLICE_SECONDS = 0.1
const WARM_UP_SECONDS = 0.5
// Since the process started, so that a run ends within three minutes on a busy machine, too, where gates take longer to start.
const END_SECONDS = 150

type Operation = { readonly name: string; readonly isGit: boolean; readonly load: (gate: GateLoads) => Load }

const OPERATIONS: readonly Operation[] = [
  { name: 'cached advertisement', isGit: true, load: ({ advertisement }) => advertisement },
  { name: 'cached ls-refs', isGit: true, load: ({ lsRefs }) => lsRefs },
  { name: 'ls-remote pair', isGit: true, load: ({ pair }) => pair },
  { name: '/-/health', isGit: false, load: ({ health }) => health },
]

const ORDERS: readonly (readonly [Side, Side])[] = [
  ['before', 'after'],
  ['after', 'before'],
]

type Pair = Readonly<Record<Side, GateLoads>>

/**
 * Measures the hot path of two checkouts in alternating slices: a gate of one, and at once a gate of the other, so that
 * whatever slows the machine down meanwhile slows both.
 */
export async function benchAgainst(before: Stage, after: Stage): Promise<PairedSamples[]> {
  const pairs: Pair[] = []
  for (let number = 1; number <= PAIRS; number++)
    pairs.push({
      before: await openGate(before, `before-${number}`, await before.repository(small)),
      after: await openGate(after, `after-${number}`, await after.repository(small)),
    })
  const loads = pairs.flatMap((pair) => OPERATIONS.flatMap(({ load }) => [load(pair.before), load(pair.after)]))
  for (const load of loads) await load.run(WARM_UP_SECONDS)

  const meter = new Meter()
  const measure = (peer: Peer, load: Load, into: number[]): Promise<void> =>
    meter.measure(
      peer,
      () => load.run(SLICE_SECONDS),
      ({ cpu }) => into.push(cpu),
    )
  const measured = OPERATIONS.map((operation) => ({
    ...operation,
    samples: pairs.map((pair) => ({ pair, before: [] as number[], after: [] as number[] })),
  }))
  for (let round = 0; performance.now() < END_SECONDS * 1_000; round++)
    for (let i = 0; i < PAIRS; i++) {
      // Each pair does something else at a time, and does everything in both orders.
      const operation = measured[(round + i) % measured.length]
      const samples = operation?.samples[i]
      const order = ORDERS[Math.floor(round / measured.length) % ORDERS.length]
      if (operation === undefined || samples === undefined || order === undefined) continue
      for (const side of order) {
        const gate = samples.pair[side]
        await measure(gate.peer, operation.load(gate), samples[side])
      }
    }
  await meter.finish()
  for (const load of loads) load.close()
  return measured.map(({ name, isGit, samples }) => ({
    operation: name,
    isGit,
    before: samples.flatMap((sample) => sample.before),
    after: samples.flatMap((sample) => sample.after),
  }))
}
