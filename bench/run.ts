// npm run bench [-- --quick] [--only storm,toll] [--json FILE] [--compare FILE] [--docs]
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { requireProgram } from '../test/acceptance/programs.js'
import { Belongings } from './belongings.js'
import type { Plan } from './plan.js'
import { FULL, QUICK } from './plan.js'
import { compareReports, comparisonMarkdown, readSavedReport } from './report/compare.js'
import { readMachine } from './report/machine.js'
import { markdown } from './report/markdown.js'
import { writePage } from './report/page.js'
import type { Report } from './report/report.js'
import { RepositoryCache } from './repositories/cache.js'
import type { Findings } from './result.js'
import { Stage } from './stage.js'
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
  --docs          write the run into docs/benchmarks.md
  --help          print this

Exit status: 0, 1 if --compare found that something became worse, 2 on an error.

GITGATE_BENCH_CACHE  where built repositories are kept (default: bench/.cache)
`

const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function run(args: readonly string[], owner: Belongings): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string' },
      json: { type: 'string' },
      compare: { type: 'string' },
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
  const before = values.compare === undefined ? undefined : readSavedReport(values.compare, plan.name)
  const missing = requireProgram(...PROGRAMS)
  if (missing !== false) throw new Error(missing)

  const machine = readMachine(new Date())
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1_000
  const kept = process.env['GITGATE_BENCH_CACHE'] ?? join(ROOT, 'bench', '.cache')
  mkdirSync(kept, { recursive: true })
  const stage = await Stage.open(owner, new RepositoryCache(kept, say))
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

const belongings = new Belongings()
const complain = (error: unknown): void => say(error instanceof Error ? error.message : String(error))
const stop = { asked: false }
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // The second time the process ends at once.
  process.once(signal, () => {
    stop.asked = true
    say('ending what was started')
    void belongings.end(complain).then(() => process.kill(process.pid, signal))
  })
}
try {
  await run(process.argv.slice(2), belongings)
} catch (error) {
  // What was being measured fails when a run is stopped.
  if (!stop.asked) complain(error)
  process.exitCode = 2
} finally {
  await belongings.end(complain)
}
