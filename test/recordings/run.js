// `npm run recordings` says what differs from the recordings in this folder; `-- --all [NAME...]` shows every line that does, and
// `-- --accept` writes it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runFile } from '../run-file.js'
import { failures } from '../tap-output.js'
import { summarize } from '../../build/test/recordings/summary.js'

const root = join(import.meta.dirname, '..', '..')
const FOLDER = join('test', 'recordings')
const USAGE = `usage: npm run recordings [-- [--accept] [--all] [NAME...]]

Says in a few lines what differs from each recording. With NAMEs, such as api.txt: only from those.

  --all     show every line that differs
  --accept  write what differs into the recordings, to be reviewed with git diff
`
const { values, positionals } = readArguments()

const tests = readdirSync(join(root, 'test'), { recursive: true }).filter((name) => name.endsWith('.test.ts'))
const files = tests.filter((name) => readFileSync(join(root, 'test', name), 'utf8').includes('compareRecording('))
const into = mkdtempSync(join(tmpdir(), 'gitgate-recordings-'))
process.on('exit', () => rmSync(into, { recursive: true, force: true }))
process.env.RECORDINGS_INTO = into
const failed = []
for (const file of files) {
  const result = await runFile(root, join(root, 'build', 'test', file.replace(/\.ts$/, '.js')))
  if (!result.failed) continue
  failed.push(file)
  for (const { where, why } of failures(result.tap)) console.error(`${where}\n${why}\n`)
}

const recorded = readdirSync(join(root, FOLDER)).filter((name) => name.endsWith('.txt'))
const made = readdirSync(into)
// A test that failed may not have come to its recording.
const names = failed.length > 0 ? made : [...new Set([...recorded, ...made])]
const unknown = positionals.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`There is no recording ${unknown.join(', ')}. There are: ${names.sort().join(', ')}`)
  process.exit(2)
}
const isAccepted = values.accept === true && failed.length === 0
const compared = positionals.length > 0 ? positionals.length : names.length
let differences = 0
for (const name of names.sort()) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const paths = [join(FOLDER, name), join(into, name)]
  const [kept, now] = paths.map((path) => (existsSync(resolve(root, path)) ? path : '/dev/null'))
  const [old, text] = [kept, now].map((path) => readFileSync(resolve(root, path), 'utf8'))
  if (old === text) continue
  const args = ['--no-pager', 'diff', '--no-index', '--', kept, now]
  if (values.all) spawnSync('git', args, { cwd: root, stdio: 'inherit' })
  else console.log(summarize(name, old, text))
  differences += 1
  if (!isAccepted) continue
  if (now === '/dev/null') rmSync(join(root, kept))
  else copyFileSync(now, join(root, FOLDER, name))
}
if (failed.length > 0) console.log(`\nFailed, so nothing can be accepted: ${failed.join(', ')}`)
else if (differences === 0) console.log(`All ${compared} recordings are as they were.`)
else if (isAccepted) console.log(`\nAccepted. Review with: git diff ${FOLDER}`)
else console.log(`\n${differences} of ${compared} recordings differ. To accept: npm run recordings -- --accept`)
process.exit(failed.length === 0 && (differences === 0 || isAccepted) ? 0 : 1)

function readArguments() {
  try {
    const options = { all: { type: 'boolean' }, accept: { type: 'boolean' }, help: { type: 'boolean' } }
    const read = parseArgs({ allowPositionals: true, options })
    if (!read.values.help) return read
    process.stdout.write(USAGE)
    process.exit(0)
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}
