// Clients, changes of rights and faults for a long time, against a model that knows what must be allowed. `npm run soak -- --help`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { newSeed } from '../seeds.js'
import { Soak } from './soak.js'

const USAGE = `usage: npm run soak -- [OPTIONS]

Lets clients clone, push and call the API while rights change and processes are killed, and compares every answer with a model of
what must be allowed. Ends with the figures, and with status 1 if an answer was wrong or something was lost or left.

  --minutes N   how long. Default: 60
  --seed N      of the random choices. Default: a new one, which is printed
  --json FILE   also write the figures to a file
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
})
const minutes = Number(values.minutes)
const seed = values.seed === undefined ? newSeed() : Number(values.seed)
if (values.help === true) process.stdout.write(USAGE)
else if (minutes > 0 && Number.isInteger(seed)) await run()
else {
  process.stderr.write(USAGE)
  process.exitCode = 2
}

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'gitgate-soak-'))
  process.stdout.write(`soak: ${minutes} minutes, seed ${seed}\n`)
  const soak = await Soak.start(folder, seed)
  const report = await soak.run(minutes * 60_000, (line) => process.stdout.write(`${line}\n`))
  process.stdout.write(`\n${report.text}\n`)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report.figures, undefined, 2)}\n`)
  // Of a failed run, everything stays to be looked at.
  if (report.problems.length === 0) rmSync(folder, { recursive: true, force: true })
  else process.stdout.write(`data, repositories and log are in ${folder}\n`)
  const failed = report.problems.length === 0 ? 0 : 1
  process.stdout.write(`${report.answers} answers, ${report.problems.length} wrong\n`)
  process.stdout.write(`${1 - failed} passed, ${failed} failed, 0 skipped\n`)
  process.exitCode = failed
}
