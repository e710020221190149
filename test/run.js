// Everything that `npm test` checks, cheapest first: types, lint, format, then the tests. Ends with one line of counts.
// `npm test -- build/test/cli/token.test.js` runs only the tests of these files.
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { runFile } from './run-file.js'
import { count, failures } from './tap-output.js'

const root = join(import.meta.dirname, '..')
const tests = join(root, 'build', 'test')
const named = process.argv.slice(2).map((file) => resolve(file))
// These measure, so nothing else may run beside them.
const ALONE = [join(tests, 'acceptance', 'large-repositories.test.js')]

const run = (command, args) =>
  new Promise((done) => {
    const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: path } })
    child.on('error', () => done(1))
    child.on('close', (code) => done(code ?? 1))
  })

let status = await run('tsc', ['-p', '.'])
if (status === 0 && named.length === 0) {
  const checks = await Promise.all([run('eslint', ['.']), run('prettier', ['--check', '--log-level', 'warn', '.'])])
  status = Math.max(...checks)
}
if (status !== 0) {
  console.log('Types, lint or format failed, so no test was run.')
  process.exit(status)
}

const isAlone = (file) => ALONE.includes(file)
const files = named.length > 0 ? named : allFiles()
const together = files.filter((file) => !isAlone(file))
let tap = ''
const work = async (queue) => {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(root, file)
    tap += result.tap
    if (result.failed) status = 1
    console.log(`${result.failed ? 'FAILED' : 'ok    '} ${result.seconds.toFixed(1).padStart(6)} s  ${result.name}`)
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, () => work(together)))
await work(files.filter(isAlone))
writeFileSync(join(root, 'build', 'test.tap'), tap)

const { passed, failed, skipped } = count(tap)
// Once more at the end, where it is found: what was said meanwhile is far above.
const failing = failures(tap)
for (const { where, why } of failing) console.log(`${where}\n${why}\n`)
for (const { where } of failing) console.log(`failed: ${where}`)
for (const name of skipped) console.log(`skipped: ${name}`)
if (skipped.length > 0 && process.env.GITGATE_REQUIRE_ALL === '1') {
  console.log('GITGATE_REQUIRE_ALL is set, and tests were skipped.')
  status = 1
}
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`)
process.exit(status)

/** Acceptance first, which takes long. Not what is built: that may be of a source that has gone. */
function allFiles() {
  const sources = readdirSync(join(root, 'test'), { recursive: true }).filter((name) => name.endsWith('.test.ts'))
  return sources.sort().map((name) => join(tests, name.replace(/\.ts$/, '.js')))
}
