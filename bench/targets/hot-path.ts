import { healthRequest, Load, CONNECTIONS, lsRemoteRequests } from '../client/load.js'
import { Meter } from '../meter.js'
import type { Peer } from '../peers/peer.js'
import { small } from '../repositories/recipes.js'
import type { Bound, Findings, Sample, Series, Verdict } from '../result.js'
import type { StagedRepository, Stage } from '../stage.js'

const BASELINE = 'nginx + git http-backend'
// Slices of a gate vary by 6 to 8 % (garbage collection, how many requests share a look at the files), and longer ones by
// nearly as much. This many give their mean to 2 %.
const ROUNDS = 84
const GATE_SECONDS = 0.3
const HEALTH_SECONDS = 0.2
// It hardly varies.
const NGINX_SECONDS = 0.15
const WARM_UP_SECONDS = 0.5
// A health check leaves nothing behind but a line of the log, which is written 10 ms later.
const HEALTH_SETTLE_MS = 50

/** A gate, and the requests that it gets. */
export type GateLoads = {
  readonly peer: Peer
  readonly advertisement: Load
  readonly lsRefs: Load
  readonly pair: Load
  readonly health: Load
}

/**
 * Target 1: what a cached request costs beside the floor, which is `/-/health` through the same server, and beside nginx.
 * The rows without a target are for `--compare`: nginx varies least, and no change to the gate changes it.
 * Three gates take turns: while one settles, another is measured, and no row depends on how one process was compiled.
 */
export async function benchHotPath(stage: Stage): Promise<Findings> {
  const repository = await stage.repository(small)
  const open = (number: number): Promise<GateLoads> => openGate(stage, `hot-path-${number}`, repository)
  const [one, two, three] = [await open(1), await open(2), await open(3)]
  const nginx = await stage.peer(BASELINE)
  const nginxPair = new Load(nginx.url, await lsRemoteRequests(nginx.url, repository.path, stage.credentials))
  const loads = [one, two, three].flatMap((gate) => [gate.advertisement, gate.lsRefs, gate.pair, gate.health])
  for (const load of [...loads, nginxPair]) await load.run(WARM_UP_SECONDS)

  const meter = new Meter()
  const samples: Samples = { advertisement: [], lsRefs: [], pair: [], health: [], nginxPair: [] }
  const measure = (into: Sample[], peer: Peer, load: Load, seconds: number, settleMs?: number): Promise<void> =>
    meter.measure(
      peer,
      () => load.run(seconds),
      (sample) => into.push(sample),
      settleMs,
    )
  const orders = [
    [one, two, three],
    [two, three, one],
    [three, one, two],
  ] as const
  for (let round = 0; round < ROUNDS; round += orders.length) {
    for (const [first, second, third] of orders) {
      await measure(samples.advertisement, first.peer, first.advertisement, GATE_SECONDS)
      await measure(samples.lsRefs, second.peer, second.lsRefs, GATE_SECONDS)
      await measure(samples.pair, third.peer, third.pair, GATE_SECONDS)
      await measure(samples.health, first.peer, first.health, HEALTH_SECONDS, HEALTH_SETTLE_MS)
      await measure(samples.nginxPair, nginx, nginxPair, NGINX_SECONDS)
    }
  }
  await meter.finish()
  for (const load of [...loads, nginxPair]) load.close()
  return findings(samples)
}

type Samples = Readonly<Record<'advertisement' | 'lsRefs' | 'pair' | 'health' | 'nginxPair', Sample[]>>

/** Starts a gate beside the others, with each load of the hot path. @param folder a name of its own */
export async function openGate(stage: Stage, folder: string, { path }: StagedRepository): Promise<GateLoads> {
  const peer = await stage.startGate('gitgate', folder, stage.embedded)
  const { url } = peer
  const pair = await lsRemoteRequests(url, path, stage.credentials)
  const [advertisement, lsRefs] = pair.map((request) => new Load(url, [request]))
  if (advertisement === undefined || lsRefs === undefined) throw new Error('the gate does not speak version 2')
  const health = new Load(url, [healthRequest(url, stage.credentials)])
  return { peer, advertisement, lsRefs, pair: new Load(url, pair), health }
}

function findings({ advertisement, lsRefs, pair, health, nginxPair }: Samples): Findings {
  const series = (operation: string, subject: string, samples: readonly Sample[]): Series => ({
    subject,
    operation,
    atOnce: CONNECTIONS,
    samples,
  })
  const row = (claim: string, ours: readonly Sample[], theirs: readonly Sample[], bound?: Bound): Verdict => ({
    target: 1,
    claim,
    unit: '×',
    ...(bound === undefined ? {} : { bound }),
    values: ours.map((sample, i) => sample.cpu / (theirs[i]?.cpu ?? Number.NaN)),
  })
  return {
    series: [
      series('GET /-/health', 'gitgate', health),
      series('advertisement, cached', 'gitgate', advertisement),
      series('ls-refs, cached', 'gitgate', lsRefs),
      series('ls-remote pair', 'gitgate', pair),
      series('ls-remote pair', BASELINE, nginxPair),
    ],
    verdicts: [
      row('CPU of a cached advertisement, to /-/health', advertisement, health, { most: 2 }),
      row('CPU of a cached ls-refs, to /-/health', lsRefs, health, { most: 2.5 }),
      row('CPU saved, ls-remote, small repository', nginxPair, pair, { least: 22 }),
      row('CPU of a cached advertisement, to an ls-remote by nginx', advertisement, nginxPair),
      row('CPU of a cached ls-refs, to an ls-remote by nginx', lsRefs, nginxPair),
      row('CPU of /-/health, to an ls-remote by nginx', health, nginxPair),
    ],
  }
}
