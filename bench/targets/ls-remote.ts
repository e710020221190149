import { Connection } from '../client/connection.js'
import { GitOverHttp } from '../client/git-over-http.js'
import { ADVERTISEMENT, exchangeHeaders, gitHeaders, LS_REFS } from '../client/git-requests.js'
import type { Credentials } from '../peers/nginx.js'
import type { Peer } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { manyRefs, small } from '../repositories/recipes.js'
import type { Findings, Series, Verdict } from '../result.js'
import { spreadOf } from '../result.js'
import { inTurns, keepBusy, ratios } from '../rounds.js'
import type { Stage } from '../stage.js'

export const CONNECTIONS = 8
const BASELINE = 'nginx + git http-backend'

/** Target 1: advertisement and ls-refs of a repository in which nothing changes. */
export async function benchLsRemote(stage: Stage, plan: Plan): Promise<Findings> {
  const peers = await stage.peers(BASELINE, ...stage.gates, 'gitgate before nginx')
  const guests = await stage.peers('Apache + git http-backend', 'node-git-server', 'nginx proxy_pass', 'http-proxy')
  const series: Series[] = []
  const verdicts: Verdict[] = []
  for (const { recipe, what, least } of [
    { recipe: small, what: 'small repository', least: 100 },
    { recipe: manyRefs(5_000), what: '5,000 refs', least: 50 },
  ]) {
    const { path } = await stage.repository(recipe)
    const operate = (peer: Peer): Promise<number> => lsRemote(peer, path, stage.credentials, plan.rateSeconds)
    const measurement = { operation: `ls-remote, ${what}`, atOnce: CONNECTIONS, rounds: plan.rounds, operate }
    const measured = await inTurns(peers, measurement, guests, plan.fewRounds)
    series.push(...measured)
    const rate = (subject: string): number[] => ratios(measured, subject, BASELINE, ({ wall }) => 1 / wall)
    const cpu = (subject: string): number =>
      spreadOf(measured.find((one) => one.subject === subject)?.samples.map((sample) => sample.cpu) ?? [])?.median ?? 0
    verdicts.push(
      {
        target: 1,
        claim: `rate of ls-remote, ${what}`,
        unit: '×',
        bound: { least },
        values: rate('gitgate'),
        why: whyNot(least, cpu(BASELINE), cpu('gitgate')),
      },
      {
        target: 1,
        claim: `rate of ls-remote before an upstream, ${what}`,
        unit: '×',
        bound: { least: 1 },
        values: rate('gitgate before nginx'),
      },
    )
  }
  return { series, verdicts }
}

/** @param baseline seconds of CPU, as `ours` */
function whyNot(least: number, baseline: number, ours: number): string {
  const [cheap, left, taken] = [baseline * 1e3, (baseline * 1e6) / least, ours * 1e6]
  return `the baseline takes ${cheap.toFixed(1)} ms CPU here, and took 43 where the target comes from: ${least} × leaves ${left.toFixed(0)} µs for two requests, where the barest answer of node:http takes 30 to 36 µs; the client is on the same two cores. Ours take ${taken.toFixed(0)} µs, evenly spread (the flame graph): garbage, sending, looking at the repository's files, the log, the audit's rows and the security epoch, each a twentieth to an eighth. Tried and kept: one look at the files for all that arrive together, lines of the log and rows of the audit gathered, addresses and passwords remembered, fewer streams`
}

/** Lists refs over connections that stay open. @returns how often, within so many seconds */
export async function lsRemote(peer: Peer, path: string, credentials: Credentials, seconds: number): Promise<number> {
  const requests = await requestsFor(peer, path, credentials)
  const connections = Array.from({ length: CONNECTIONS }, () => new Connection(peer.url))
  const once = async (client: number): Promise<void> => {
    for (const request of requests) await connections[client]?.exchange(request)
  }
  const count = await keepBusy(CONNECTIONS, seconds, once)
  for (const connection of connections) connection.close()
  return count
}

/** The bytes of `git ls-remote`: two requests, or one where the server does not speak version 2. */
export async function requestsFor(
  { url }: Pick<Peer, 'url'>,
  path: string,
  credentials: Credentials,
): Promise<readonly Buffer[]> {
  const client = new GitOverHttp(url, path, credentials, 1)
  const speaksVersion2 = await client.speaksVersion2()
  client.close()
  const write = (line: string, headers: Record<string, string>, body?: Buffer): Buffer => {
    const all = { Host: new URL(url).host, ...gitHeaders(credentials), ...headers }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
    return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), body ?? Buffer.alloc(0)])
  }
  const length = { 'Content-Length': String(LS_REFS.length) }
  const advertisement = write(`GET /${path}.git${ADVERTISEMENT}`, { Accept: '*/*' })
  const headers = { ...exchangeHeaders('git-upload-pack'), ...length }
  const exchange = write(`POST /${path}.git/git-upload-pack`, headers, LS_REFS)
  return speaksVersion2 ? [advertisement, exchange] : [advertisement]
}
