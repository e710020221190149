// Everything that `npm test` checks, cheapest first: types, lint, format, then the tests. Ends with one line of counts.
// `npm test -- build/test/cli/token.test.js` runs only the tests of these files.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { count, failures } from './tap-output.js'

const root = join(import.meta.dirname, '..')
const files = process.argv.slice(2)
// These measure, so nothing else may run beside them.
const ALONE = ['build/test/acceptance/large.test.js']

const run = (command, args, env = {}) =>
  new Promise((resolve) => {
    const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env, PATH: path } })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code ?? 1))
  })

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
// The terse reporter redraws its lines, which only a terminal can show.
const reporter = process.stdout.isTTY ? 'terse' : 'min'
const runs = files.length > 0 ? [files] : [ALONE.map((file) => `--exclude=${file}`), ALONE]
let tap = ''
for (const [index, args] of runs.entries()) {
  const output = join(root, 'build', `test-${index + 1}.tap`)
  rmSync(output, { force: true })
  status = Math.max(status, await run('tap', [`--reporter=${reporter}`, `--output-file=${output}`, ...args]))
  tap += readFileSync(output, 'utf8')
}
const { passed, failed, skipped } = count(tap)
// Once more at the end, where it is found: the reporter's own words are far above.
const failing = failures(tap)
for (const { where, why } of failing) console.log(`${where}\n${why}\n`)
for (const { where } of failing) console.log(`failed: ${where}`)
for (const name of skipped) console.log(`skipped: ${name}`)
if (skipped.length > 0 && process.env.GITGATE_REQUIRE_ALL === '1') {
  console.log('GITGATE_REQUIRE_ALL is set, and tests were skipped.')
  status = 1
}
// On a line of its own: tap leaves the cursor after an escape sequence.
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`)
process.exit(status)
