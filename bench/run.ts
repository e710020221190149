// npm run bench [-- --quick] [--only storm,toll] [--json FILE] [--compare FILE] [--against DIR] [--docs]
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { requireProgram } from '../test/acceptance/programs.js'
import { Fixtures } from './fixtures.js'
import type { Plan } from './plan.js'
import { FULL, QUICK } from './plan.js'
import { comparePairs, pairsMarkdown } from './report/against.js'
import { compareReports, comparisonMarkdown, readSavedReport } from './report/compare.js'
import { readCommit, readMachine } from './report/machine.js'
import { markdown } from './report/markdown.js'
import { writePage } from './report/page.js'
import type { Report } from './report/report.js'
import { RepositoryCache } from './repositories/cache.js'
import type { Findings } from './result.js'
import { Stage } from './stage.js'
import { benchAgainst } from './targets/against.js'
import { benchAudit } from './targets/audit.js'
import { benchAuthentication } from './targets/authentication.js'
import { benchBytes } from './targets/bytes.js'
import { benchConcurrency } from './targets/concurrency.js'
import { benchEventLoop } from './targets/event-loop.js'
import { benchHotPath } from './targets/hot-path.js'
import { benchLsRemote } from './targets/ls-remote.js'
import { benchMemory } from './targets/memory.js'
import { benchPages } from './targets/pages.js'
import { benchStorm } from './targets/storm.js'
import { benchToll } from './targets/toll.js'
import { benchWorkers } from './targets/workers.js'

const ROOT = resolve(import.meta.dirname, '..', '..')
const PROGRAMS = ['git', 'git-http-backend', 'nginx', 'fcgiwrap', 'apache2']

/** The benches, by the names that `--only` takes, in the order of the targets. */
const BENCHES: Readonly<Record<string, (stage: Stage, plan: Plan) => Promise<Findings>>> = {
  'hot-path': benchHotPath,
  'ls-remote': benchLsRemote,
  storm: benchStorm,
  toll: benchToll,
  bytes: benchBytes,
  authentication: benchAuthentication,
  audit: benchAudit,
  pages: benchPages,
  memory: benchMemory,
  workers: benchWorkers,
  'event-loop': benchEventLoop,
  concurrency: benchConcurrency,
}

const USAGE = `usage: npm run bench [-- OPTIONS]

  --quick         only the hot path, in about three minutes instead of half an hour
  --only NAMES    only these benches: ${Object.keys(BENCHES).join(', ')}
  --json FILE     also write every sample to FILE
  --compare FILE  also compare with FILE, which an earlier run wrote with --json, and
                  print what became worse; both runs must be quick, or both full
  --against DIR   with --quick: compare only the CPU of the hot path with that of another
                  built checkout, by gates of both that take turns in the same run. Make
                  DIR of the last commit, or of any other, with
                    git worktree add build/before HEAD
                    npx tsc -p build/before
  --docs          write the run into docs/benchmarks.md
  --help          print this

Exit status: 0, 1 if --compare or --against found that something became worse, 2 on an error.

GITGATE_BENCH_CACHE  where built repositories are kept (default: bench/.cache)
`

const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function run(args: readonly string[], owner: Fixtures): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string' },
      json: { type: 'string' },
      compare: { type: 'string' },
      against: { type: 'string' },
      docs: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  const plan = values.quick === true ? QUICK : FULL
  const names = values.only?.split(',') ?? plan.benches ?? Object.keys(BENCHES)
  const unknown = names.filter((name) => BENCHES[name] === undefined)
  if (values.help === true || unknown.length > 0) {
    process.stdout.write(USAGE)
    if (unknown.length > 0) throw new Error(`there is no bench ${unknown.join(', ')}`)
    return
  }
  if (values.against !== undefined) {
    if (['only', 'json', 'compare', 'docs'].some((option) => option in values) || values.quick !== true)
      throw new Error('--against goes with --quick, and with no other option')
    await runAgainst(resolve(values.against), owner)
    return
  }
  const before = values.compare === undefined ? undefined : readSavedReport(values.compare, plan.name)
  const missing = requireProgram(...PROGRAMS)
  if (missing !== false) throw new Error(missing)

  const machine = readMachine(new Date())
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1_000
  const stage = await Stage.open(owner, openCache())
  say(`CPU: ${stage.accounting.way}`)
  const findings: Findings[] = []
  for (const name of names) {
    const begun = seconds()
    say(`${name} …`)
    const found = await BENCHES[name]?.(stage, plan)
    if (found !== undefined) findings.push(found)
    say(`${name}: ${Math.round(seconds() - begun)} s`)
  }
  const report: Report = {
    plan: plan.name,
    machine,
    accounting: stage.accounting.way,
    blindSpots: await stage.blindSpots(),
    seconds: seconds(),
    verdicts: findings.flatMap(({ verdicts }) => verdicts),
    series: findings.flatMap(({ series }) => series),
    curves: findings.flatMap(({ curves }) => curves ?? []),
  }
  process.stdout.write(`${markdown(report)}\n`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
  if (values.docs === true) writePage(ROOT, report)
  if (before === undefined) return
  const comparison = compareReports(before, report)
  if (comparison.rows.length === 0) throw new Error('the two runs have no row in common')
  process.stdout.write(`\n${comparisonMarkdown(before, report, comparison)}\n`)
  if (comparison.rows.some(({ outcome }) => outcome === 'worse')) process.exitCode = 1
}

/** Compares this checkout with another one, side by side. */
async function runAgainst(folder: string, owner: Fixtures): Promise<void> {
  if (!existsSync(join(folder, 'build', 'src')))
    throw new Error(`${folder} holds no gitgate that is built: npm run bench -- --help tells how to make one`)
  const missing = requireProgram('git')
  if (missing !== false) throw new Error(missing)
  const cache = openCache()
  const before = await Stage.open(owner, cache, join(folder, 'bin', 'gitgate.js'))
  const after = await Stage.open(owner, cache)
  say(`CPU: ${after.accounting.way}`)
  say('measuring for about two and a half minutes …')
  const rows = comparePairs(await benchAgainst(before, after))
  process.stdout.write(`${pairsMarkdown({ before: readCommit(folder), after: readCommit(ROOT) }, rows)}\n`)
  if (rows.some(({ outcome }) => outcome === 'worse')) process.exitCode = 1
}

/** Where built repositories are kept. */
function openCache(): RepositoryCache {
  const folder = process.env['GITGATE_BENCH_CACHE'] ?? join(ROOT, 'bench', '.cache')
  mkdirSync(folder, { recursive: true })
  return new RepositoryCache(folder, say)
}

const fixtures = new Fixtures()
const complain = (error: unknown): void => say(error instanceof Error ? error.message : String(error))
const stop = { isRequested: false }
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second time the process ends at once.
  process.once(signal, () => {
    stop.isRequested = true
    say('ending what was started')
    void fixtures.end(complain).then(() => process.kill(process.pid, signal))
  })
}
try {
  await run(process.argv.slice(2), fixtures)
} catch (error) {
  // What was being measured fails when a run is stopped.
  if (!stop.isRequested) complain(error)
  process.exitCode = 2
} finally {
  await fixtures.end(complain)
}
