// `npm run recordings` shows what differs from the recordings in this folder; `npm run recordings -- --accept` writes it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { runFile } from '../run-file.js'
import { failures } from '../tap-output.js'

const root = join(import.meta.dirname, '..', '..')
const FOLDER = join('test', 'recordings')
const ACCEPT = '--accept'
const args = process.argv.slice(2)
if (args.some((arg) => arg !== ACCEPT)) {
  console.error(`usage: npm run recordings [-- ${ACCEPT}]`)
  process.exit(2)
}

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
const isAccepted = args.includes(ACCEPT) && failed.length === 0
let differences = 0
for (const name of names.sort()) {
  const paths = [join(FOLDER, name), join(into, name)]
  const [kept, now] = paths.map((path) => (existsSync(resolve(root, path)) ? path : '/dev/null'))
  const diff = spawnSync('git', ['--no-pager', 'diff', '--no-index', '--', kept, now], { cwd: root, stdio: 'inherit' })
  if (diff.status === 0) continue
  differences += 1
  if (!isAccepted) continue
  if (now === '/dev/null') rmSync(join(root, kept))
  else copyFileSync(now, join(root, FOLDER, name))
}
if (failed.length > 0) console.log(`\nFailed, so nothing can be accepted: ${failed.join(', ')}`)
else if (differences === 0) console.log(`All ${recorded.length} recordings are as they were.`)
else if (isAccepted) console.log(`\nAccepted. Review with: git diff ${FOLDER}`)
else console.log(`\n${differences} of ${recorded.length} recordings differ. To accept: npm run recordings -- ${ACCEPT}`)
process.exit(failed.length === 0 && (differences === 0 || isAccepted) ? 0 : 1)
