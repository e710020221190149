import { rmSync } from 'node:fs'
import { countPackRuns } from '../accounting/pack-runs.js'
import type { Peer } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { advance } from '../repositories/advance.js'
import { history } from '../repositories/recipes.js'
import type { Findings, Sample, Series, Verdict } from '../result.js'
import { measure } from '../meter.js'
import { ratios, times } from '../rounds.js'
import type { StagedRepository, Stage } from '../stage.js'

const AT_ONCE = 8
const BASELINE = 'nginx + git http-backend'

const KINDS = [
  { name: 'clone', flags: [], cold: 9, warm: 15 },
  { name: 'clone --depth 1', flags: ['--depth', '1'], cold: 10 },
  { name: 'clone --filter=blob:none', flags: ['--filter=blob:none'], cold: 7 },
] as const

const WHY =
  "a warm clone mostly moves bytes. In a profile of 24 clones, a quarter of the gate's CPU reads the cached response (512 KiB at a time, copied by the kernel), a seventh writes it to sockets, a tenth is garbage collection, and the rest is spread out. Each clone adds four small requests and their connections, which are most of a shallow clone. Tried and kept: responses are read into two alternating buffers and never copied in between; short ones are sent directly from memory"

/** Target 2: many clones of the same commit by real gits. A commit is new to the server in a cold storm only. */
export async function benchStorm(stage: Stage, plan: Plan): Promise<Findings> {
  const [baseline, ...gates] = await stage.peers(BASELINE, ...stage.gates)
  const repository = await stage.repository(history(plan.stormCommits))
  const series: Series[] = []
  const verdicts: Verdict[] = []
  for (const kind of KINDS) {
    const storm = (peer: Peer): Promise<Sample> => measure(peer, () => cloneMany(stage, peer, repository, plan, kind))
    const add = (subject: string, weather: string, samples: Sample[]): void => {
      series.push({ subject, operation: `${kind.name} in a storm, ${weather}`, atOnce: AT_ONCE, samples })
    }
    await advance(repository.folder)
    const theirs = baseline === undefined ? [] : [await storm(baseline)]
    add(BASELINE, 'cold', theirs)
    add(BASELINE, 'warm', theirs)
    for (const gate of gates) {
      await advance(repository.folder)
      const packs = countPackRuns(gate.cpu)
      add(gate.name, 'cold', [await storm(gate)])
      const runs = packs.stop()
      add(gate.name, 'warm', [await storm(gate)])
      if (gate.name === 'gitgate' && kind.name === 'clone')
        verdicts.push({
          target: 2,
          claim: `pack-objects in all, ${plan.stormClones} clones`,
          unit: 'runs',
          bound: { most: 1 },
          values: [runs],
        })
    }
    const less = (weather: string): number[] =>
      ratios(
        series.filter(({ operation }) => operation === `${kind.name} in a storm, ${weather}`),
        'gitgate',
        BASELINE,
        ({ cpu }) => 1 / cpu,
      )
    const claim = `server CPU saved, storm of ${kind.name}`
    verdicts.push({
      target: 2,
      claim: `${claim}, cold run counted in`,
      unit: '×',
      bound: { least: kind.cold },
      values: less('cold'),
      why: WHY,
    })
    if ('warm' in kind)
      verdicts.push({
        target: 2,
        claim: `${claim}, warm`,
        unit: '×',
        bound: { least: kind.warm },
        values: less('warm'),
        why: WHY,
      })
  }
  return { series, verdicts }
}

async function cloneMany(
  stage: Stage,
  peer: Peer,
  repository: StagedRepository,
  { stormClones }: Plan,
  { flags }: { readonly flags: readonly string[] },
): Promise<number> {
  await times(stormClones, AT_ONCE, async (index) => {
    const clone = await stage.git.clone(
      stage.remote(peer, repository),
      `storm-${index}.git`,
      '--quiet',
      '--bare',
      ...flags,
    )
    rmSync(clone, { recursive: true })
  })
  return stormClones
}
