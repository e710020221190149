import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONNECTIONS, Load, lsRemoteRequests } from '../client/load.js'
import type { Peer } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import type { Recipe } from '../repositories/recipes.js'
import { looseRefs, manyRefs, small } from '../repositories/recipes.js'
import type { Findings, Series, Verdict } from '../result.js'
import { inTurns, ratios } from '../rounds.js'
import type { StagedRepository, Stage } from '../stage.js'

const BASELINE = 'nginx + git http-backend'
const LOOSE_REFS = 2_000
// Until the code of a new gate is compiled.
const WARM_UP_SECONDS = 1.5

/** A repository that is listed; `least`: how many times less CPU than nginx the gate is to take. */
type Listed = { readonly recipe: Recipe; readonly what: string; readonly least?: number; readonly isLoose?: boolean }

// What the gate saves on the small one is measured by the bench of the hot path.
const SMALL: Listed = { recipe: small, what: 'small repository' }
const LARGE: readonly Listed[] = [
  { recipe: manyRefs(5_000), what: '5,000 refs', least: 20 },
  { recipe: looseRefs(LOOSE_REFS), what: '2,000 loose refs', least: 1, isLoose: true },
]

/** Target 1: advertisement and ls-refs of repositories in which nothing changes. */
export async function benchLsRemote(stage: Stage, plan: Plan): Promise<Findings> {
  const { hotPathOnly } = plan
  const peers = hotPathOnly
    ? await stage.peers(BASELINE, 'gitgate')
    : await stage.peers(BASELINE, ...stage.gates, 'gitgate before nginx')
  const guests = hotPathOnly
    ? []
    : await stage.peers('Apache + git http-backend', 'node-git-server', 'nginx proxy_pass', 'http-proxy')
  const series: Series[] = []
  const verdicts: Verdict[] = []
  for (const { recipe, what, least, isLoose } of hotPathOnly ? LARGE : [SMALL, ...LARGE]) {
    const repository = await stage.repository(recipe)
    const operate = (peer: Peer, round: number): Promise<number> =>
      lsRemote(stage, peer, repository, round === 0 ? WARM_UP_SECONDS : plan.rateSeconds)
    const measurement = { operation: `ls-remote, ${what}`, atOnce: CONNECTIONS, rounds: plan.lsRemoteRounds, operate }
    const measuring = (): Promise<Series[]> => inTurns(peers, measurement, guests, plan.fewRounds)
    const measured = await (isLoose === true ? keptLoose(repository, measuring) : measuring())
    series.push(...measured)
    if (least !== undefined)
      verdicts.push({
        target: 1,
        claim: `CPU saved, ls-remote, ${what}`,
        unit: '×',
        bound: { least },
        values: ratios(measured, 'gitgate', BASELINE, ({ cpu }) => 1 / cpu),
      })
    if (!hotPathOnly)
      verdicts.push({
        target: 1,
        claim: `rate of ls-remote in front of an upstream, ${what}`,
        unit: '×',
        bound: { least: 1 },
        values: ratios(measured, 'gitgate before nginx', BASELINE, ({ wall }) => 1 / wall),
      })
  }
  return { series, verdicts }
}

/** Lists refs over connections that stay open. @returns how often, within so many seconds */
export async function lsRemote(
  { credentials }: Stage,
  { url }: Peer,
  { path }: StagedRepository,
  seconds: number,
): Promise<number> {
  const load = new Load(url, await lsRemoteRequests(url, path, credentials))
  const count = await load.run(seconds)
  load.close()
  return count
}

/**
 * Measures while no gate can pack the refs, for which git needs this lock: earlier versions, with which `--against` compares, pack
 * them after reads.
 */
async function keptLoose<T>({ folder }: StagedRepository, measuring: () => Promise<T>): Promise<T> {
  const lock = join(folder, 'packed-refs.lock')
  writeFileSync(lock, '', { flag: 'wx' })
  try {
    const result = await measuring()
    const loose = readdirSync(join(folder, 'refs'), { recursive: true, withFileTypes: true }).filter((e) => e.isFile())
    if (loose.length !== LOOSE_REFS) throw new Error(`${folder} has ${loose.length} loose refs, not ${LOOSE_REFS}`)
    return result
  } finally {
    rmSync(lock)
  }
}
