import { createWriteStream, rmSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { pipeline } from 'node:stream/promises'
import { GitOverHttp } from '../client/git-over-http.js'
import type { Peer } from '../peers/peer.js'
import type { Plan } from '../plan.js'
import { incompressible } from '../repositories/recipes.js'
import type { Findings, Sample, Series, Verdict } from '../result.js'
import { inTurns, ratios } from '../rounds.js'
import type { StagedRepository, Stage } from '../stage.js'

const GIBIBYTE = 1_024
const BASELINE = 'nginx + git http-backend'
const PROXY_BASELINE = 'nginx proxy_pass'
const OVER_TLS = 'gitgate over TLS'

/** Target 3, CPU of bytes: large transfers, one at a time, by a client that does nothing with them. */
export async function benchBytes(stage: Stage, plan: Plan): Promise<Findings> {
  const peers = await stage.peers(
    BASELINE,
    ...stage.gates,
    OVER_TLS,
    'gitgate before nginx',
    PROXY_BASELINE,
    'http-proxy',
  )
  const repository = await stage.repository(incompressible(plan.transferMebibytes))
  const pack = await packOf(stage, repository)
  const gibibytes = plan.transferMebibytes / GIBIBYTE
  const series: Series[] = []
  const verdicts: Verdict[] = []
  for (const [direction, operate] of [
    ['down', (peer: Peer) => download(stage, peer, repository)],
    [
      'up',
      (peer: Peer, round: number) => upload(stage, peer, `up/${round}-${peer.name.replaceAll(/\W+/g, '-')}`, pack),
    ],
  ] as const) {
    const rounds = Math.min(plan.rounds, 5)
    const measurement = { operation: `GiB ${direction}`, atOnce: 1, rounds }
    const measured = await inTurns(peers, {
      ...measurement,
      operate: async (peer, round) => {
        await operate(peer, round)
        return gibibytes
      },
    })
    series.push(...measured)
    const cpu = (subject: string, baseline: string, pick: (sample: Sample) => number): number[] =>
      ratios(measured, subject, baseline, pick)
    const own = ({ ownCpu }: Sample): number => ownCpu
    verdicts.push(
      ...stage.gates.map((gate) => ({
        target: 3,
        claim: `CPU per GiB ${direction}: ${gate}`,
        unit: '×' as const,
        bound: { most: 1.1 },
        values: cpu(gate, BASELINE, (sample) => sample.cpu),
      })),
      {
        target: 3,
        claim: `CPU per GiB ${direction} over TLS, to that of plain HTTP`,
        unit: '×',
        bound: { most: 2 },
        values: cpu(OVER_TLS, 'gitgate', (sample) => sample.cpu),
      },
      {
        target: 3,
        claim: `CPU per GiB ${direction} of the gate in front of an upstream, without the upstream, to that of nginx proxy_pass`,
        unit: '×',
        bound: { most: 2 },
        values: cpu('gitgate before nginx', PROXY_BASELINE, own),
        note: `unmodified http-proxy: ${cpu('http-proxy', PROXY_BASELINE, own)
          .map((value) => value.toFixed(2))
          .join(', ')} ×`,
      },
    )
  }
  return { series, verdicts }
}

/** A pack as a push sends it, and the commit in it. */
export type PackFile = { readonly file: string; readonly oid: string }

/** Writes the pack that a push of `main` would send. */
export async function packOf(stage: Stage, { folder, path }: StagedRepository): Promise<PackFile> {
  const file = join(stage.folder, `${path.replaceAll('/', '-')}.pack`)
  const args = ['--git-dir', folder, 'pack-objects', '--revs', '--stdout', '-q']
  const child = spawn('git', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end('main\n')
  await pipeline(child.stdout, createWriteStream(file))
  return { file, oid: await stage.git.ask(['--git-dir', folder, 'rev-parse', 'main']) }
}

/** Downloads all of a repository. */
export async function download(stage: Stage, peer: Peer, { path }: StagedRepository): Promise<void> {
  const client = new GitOverHttp(peer.url, path, stage.credentials, 1)
  await client.clone()
  client.close()
}

/** Pushes a pack into a repository that is made for it and goes again. */
export async function upload(stage: Stage, peer: Peer, name: string, { oid, file }: PackFile): Promise<void> {
  const { path, folder } = await stage.emptyRepository(name)
  const client = new GitOverHttp(peer.url, path, stage.credentials, 1)
  await client.push(oid, file)
  client.close()
  rmSync(folder, { recursive: true })
}
