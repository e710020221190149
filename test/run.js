// Everything that `npm test` checks, cheapest first: types, lint, format, then the tests. Ends with one line of counts.
// `npm test -- build/test/cli/token.test.js` runs only the tests of these files.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const tapOutput = join(root, 'build', 'test.tap')
const files = process.argv.slice(2)

const run = (command, args, env = {}) =>
  new Promise((resolve) => {
    const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env, PATH: path } })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })

/** Counts the tests of a TAP stream, and names what was skipped. */
function count(tap) {
  const counts = { passed: 0, failed: 0, skipped: [] }
  let failedFiles = 0
  for (const line of tap.split('\n')) {
    const [, indent, not, name] = /^( *)(not )?ok \d+(?: - )?(.*)$/.exec(line) ?? []
    if (name === undefined) continue
    if (/ # (SKIP|TODO)/i.test(name)) counts.skipped.push(name)
    else if (!/ # time=/.test(name))
      continue // an assertion within a test
    else if (indent === '') failedFiles += not === undefined ? 0 : 1
    else if (not === undefined) counts.passed += 1
    else counts.failed += 1
  }
  // A file that crashes or hangs fails without a test of its own having failed.
  return { ...counts, failed: Math.max(counts.failed, failedFiles) }
}

let status = await run('tsc', ['-p', '.'])
if (status === 0 && files.length === 0) {
  const checks = await Promise.all([run('eslint', ['.']), run('prettier', ['--check', '--log-level', 'warn', '.'])])
  status = Math.max(...checks)
}
if (status !== 0) {
  console.log('Types, lint or format failed, so no test was run.')
  process.exit(status)
}
mkdirSync(join(root, 'build'), { recursive: true })
rmSync(tapOutput, { force: true })
// The terse reporter redraws its lines, which only a terminal can show.
const reporter = process.stdout.isTTY ? 'terse' : 'min'
status = await run('tap', [`--reporter=${reporter}`, `--output-file=${tapOutput}`, ...files])
const { passed, failed, skipped } = count(readFileSync(tapOutput, 'utf8'))
for (const name of skipped) console.log(`skipped: ${name}`)
if (skipped.length > 0 && process.env.GITGATE_REQUIRE_ALL === '1') {
  console.log('GITGATE_REQUIRE_ALL is set, and tests were skipped.')
  status = 1
}
// On a line of its own: tap leaves the cursor after an escape sequence.
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`)
process.exit(status)
