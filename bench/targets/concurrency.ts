import { GitOverHttp } from '../client/git-over-http.js'
import type { Plan } from '../plan.js'
import { history } from '../repositories/recipes.js'
import type { Curve, Findings } from '../result.js'
import { keepBusy } from '../rounds.js'
import type { Stage } from '../stage.js'

const COMMITS = 2_000
// A few clones of the largest crowd.
const SECONDS_PER_RATE_SECOND = 4

/** The plot: clones per second against concurrent clients, by a client that discards the response. */
export async function benchConcurrency(stage: Stage, plan: Plan): Promise<Findings> {
  const peers = await stage.peers('nginx + git http-backend', ...stage.gates)
  const { path } = await stage.repository(history(COMMITS))
  const curves: (Curve & { points: { clients: number; rate: number }[] })[] = peers.map(({ name }) => ({
    subject: name,
    points: [],
  }))
  for (const clients of plan.concurrency) {
    for (const [index, peer] of peers.entries()) {
      const client = new GitOverHttp(peer.url, path, stage.credentials, clients)
      await client.clone()
      const started = performance.now()
      const count = await keepBusy(clients, plan.rateSeconds * SECONDS_PER_RATE_SECOND, () => client.clone())
      curves[index]?.points.push({ clients, rate: (count * 1_000) / (performance.now() - started) })
      client.close()
    }
  }
  return { series: [], verdicts: [], curves }
}
