import { rmSync } from 'node:fs'
import type { Peer } from '../peers/peer.js'
import { OPEN } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { advance } from '../repositories/advance.js'
import { incompressible, small } from '../repositories/recipes.js'
import type { Findings } from '../result.js'
import type { Measurement } from '../rounds.js'
import { inTurns, ratios } from '../rounds.js'
import type { Stage } from '../stage.js'

const BASELINE = 'nginx + git http-backend'
const MOST = 1.1
// One after the other; in the half second that a gate takes to settle there is time for them.
const CLONES = 6
const FETCH = 'fetch of one commit'
const WHY =
  "a fetch of one commit is five small requests, each of which takes the gate 0.5 to 3 ms. There are so few of them here that hardly any of the gate's code is compiled. Tried and kept: after a push, the gate reads refs from their files instead of running Git for each fetch (100 ms instead of 140, on a busy machine), once for all requests that arrive together"

/** Target 3: what no cache can answer, by real gits, one at a time. */
export async function benchToll(stage: Stage, plan: Plan): Promise<Findings> {
  const { hotPathOnly } = plan
  const embedded = hotPathOnly ? (['gitgate'] as const) : stage.gates
  const gates = hotPathOnly ? embedded : ([...embedded, 'gitgate before nginx'] as const)
  const peers = await stage.peers(BASELINE, ...gates)
  const guests = hotPathOnly ? [] : await stage.peers('nginx proxy_pass', ...OPEN)
  const series = await inTurns(peers, await smallClone(stage, plan), guests, plan.fewRounds)
  if (!hotPathOnly) {
    series.push(...(await inTurns(peers, await oneCommit(stage, plan, [...peers, ...guests]), guests, plan.fewRounds)))
    // Of those that let in anybody, some take a push of nobody only.
    const pushers = guests.filter(({ name }) => name === 'nginx proxy_pass')
    series.push(...(await inTurns(peers, await push(stage, plan), pushers, plan.fewRounds)))
  }
  const operations = [...new Set(series.map(({ operation }) => operation))]
  const verdicts = operations.flatMap((operation) => {
    const of = series.filter((one) => one.operation === operation)
    const common = {
      target: 3,
      unit: '×',
      bound: { most: MOST },
      ...(operation === FETCH ? { why: WHY } : {}),
    } as const
    return [
      ...gates.map((gate) => ({
        ...common,
        claim: `wall of ${operation}: ${gate}`,
        values: ratios(of, gate, BASELINE, ({ wall }) => wall),
      })),
      ...embedded.map((gate) => ({
        ...common,
        claim: `CPU of ${operation}: ${gate}`,
        values: ratios(of, gate, BASELINE, ({ cpu }) => cpu),
      })),
    ]
  })
  return { series, verdicts }
}

async function smallClone(stage: Stage, { rounds }: Plan): Promise<Measurement> {
  const repository = await stage.repository(small)
  const operate = async (peer: Peer): Promise<number> => {
    for (let i = 0; i < CLONES; i++)
      rmSync(await stage.git.clone(stage.remote(peer, repository), 'small', '--quiet'), { recursive: true })
    return CLONES
  }
  return { operation: 'small clone', atOnce: 1, rounds, operate }
}

/** Each server has a clone of its own, into which it fetches the commit that each round adds. */
async function oneCommit(stage: Stage, { rounds }: Plan, peers: readonly Peer[]): Promise<Measurement> {
  const repository = await stage.repository(small)
  const clones = new Map<Peer, string>()
  for (const [index, peer] of peers.entries())
    clones.set(peer, await stage.git.clone(stage.remote(peer, repository), `fetching-${index}`, '--quiet'))
  const operate = async (peer: Peer): Promise<number> => {
    await stage.git.run(['fetch', '--quiet'], { cwd: clones.get(peer) ?? '' })
    return 1
  }
  const prepare = (): Promise<void> => advance(repository.folder)
  return { operation: FETCH, atOnce: 1, rounds, operate, prepare }
}

/** Each push goes to a repository that was empty. */
async function push(stage: Stage, { rounds, pushMebibytes }: Plan): Promise<Measurement> {
  const { folder } = await stage.repository(incompressible(pushMebibytes))
  let targets: string[] = []
  const prepare = async (): Promise<void> => {
    for (const target of targets) rmSync(target, { recursive: true })
    targets = []
    return Promise.resolve()
  }
  const operate = async (peer: Peer, round: number): Promise<number> => {
    const name = `push/${round}-${peer.name.replaceAll(/\W+/g, '-')}`
    const target = await stage.emptyRepository(name)
    targets.push(target.folder)
    await stage.git.run(['--git-dir', folder, 'push', '--quiet', stage.remote(peer, target), 'main'])
    return 1
  }
  return { operation: `push of ${pushMebibytes} MiB`, atOnce: 1, rounds, operate, prepare }
}
