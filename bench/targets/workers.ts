import { rmSync } from 'node:fs'
import { CONNECTIONS } from '../client/load.js'
import type { Peer, PeerName } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { small } from '../repositories/recipes.js'
import type { Findings, Series, Verdict } from '../result.js'
import { inTurns, ratios } from '../rounds.js'
import type { Stage } from '../stage.js'
import { lsRemote } from './ls-remote.js'

const PAIRS: readonly (readonly [one: PeerName, two: PeerName])[] = [
  ['gitgate', 'gitgate --workers 2'],
  ['gitgate --no-cache', 'gitgate --workers 2 --no-cache'],
]

const WHY =
  'requests that arrive together share one check of the files, one batch of audit events and one write to the log. With two processes, half as many requests share them. Tried: each worker keeps responses that it got from another one. Sharing more would make the processes wait for each other'

/** Target 6: what a request costs where two processes serve: answered from the cache, by git, and over a connection of its own. */
export async function benchWorkers(stage: Stage, plan: Plan): Promise<Findings> {
  const repository = await stage.repository(small)
  const series: Series[] = []
  const verdicts: Verdict[] = []
  const compare = async (
    what: string,
    [one, two]: readonly [PeerName, PeerName],
    atOnce: number,
    operate: (peer: Peer) => Promise<number>,
  ): Promise<void> => {
    const peers = await stage.peers(one, two)
    const measured = await inTurns(peers, { operation: what, atOnce, rounds: plan.rounds, operate })
    series.push(...measured)
    verdicts.push({
      target: 6,
      claim: `CPU per request, ${what}: ${two} to ${one}`,
      unit: '×',
      bound: { most: 1.1 },
      values: ratios(measured, two, one, ({ cpu }) => cpu),
      why: WHY,
    })
  }
  for (const pair of PAIRS) {
    await compare('ls-remote over open connections', pair, CONNECTIONS, (peer) =>
      lsRemote(stage, peer, repository, plan.rateSeconds),
    )
  }
  for (const pair of PAIRS) {
    await compare('small clone', pair, 1, async (peer) => {
      for (let i = 0; i < 5; i++)
        rmSync(await stage.git.clone(stage.remote(peer, repository), 'workers.git', '-q', '--bare'), {
          recursive: true,
        })
      return 5
    })
  }
  return { series, verdicts }
}
