// Runs everything that `npm test` checks: types first, then lint, format and the tests side by side.
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { runFile } from './run-file.js'
import { count, failures } from './tap-output.js'

const USAGE = `usage: npm test [-- [OPTIONS] [NAME...]]

Checks types, lint and format, and runs all tests. With NAMEs: only the test files whose path contains one of them.

  --unit              only tests that need no git (npm run test:unit)
  --slow              only the tests of test/slow, one at a time (npm run test:slow)
  --hostile           only the tests of test/hostile, one at a time (npm run test:hostile)
  --faults            only the tests of test/faults, one at a time (npm run test:faults)
  --list              only print the files that would run
  --record-durations  write how long each file took into test/durations.json, which sets the order

GITGATE_REQUIRE_ALL=1  fail when a test was skipped because a program is missing
`

const root = join(import.meta.dirname, '..')
const DURATIONS = join(root, 'test', 'durations.json')
// They run without git in their PATH, so that what they claim is true.
const UNIT = /^(core|domain|protocol|storage|audit-export|jobs|bench|git\/(admission|cache|http))\//
// They take minutes, or measure. CI runs them after the others.
const SLOW = /^slow\//
// They attack a gate and measure it. CI runs them after the others.
const HOSTILE = /^hostile\//
// They kill processes and fill disks under load. CI runs them after the others.
const FAULTS = /^faults\//
// Most tests wait for git and for sockets half of their time.
const TOGETHER = Math.max(4, availableParallelism())
// Temporary folders in memory: with git, tests take a quarter less CPU there and half of the time. Not those that are about
// what a disk says of its files, such as inode numbers that are used again.
const MEMORY = '/dev/shm'
const MEMORY_BYTES = 4 * 2 ** 30
const ON_DISK = /freshness|fingerprint/
const SLOWEST_SHOWN = 10
// A file that no run has timed yet goes first: it may be long.
const UNKNOWN_SECONDS = 1_000

const { values, positionals: names } = readArguments({
  allowPositionals: true,
  options: {
    unit: { type: 'boolean' },
    slow: { type: 'boolean' },
    hostile: { type: 'boolean' },
    faults: { type: 'boolean' },
    list: { type: 'boolean' },
    'record-durations': { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help) {
  process.stdout.write(USAGE)
  process.exit(0)
}

const isAlone = [values.slow, values.hostile, values.faults].includes(true)
const started = performance.now()
const durations = existsSync(DURATIONS) ? JSON.parse(readFileSync(DURATIONS, 'utf8')) : {}
const files = testFiles()
const unmatched = names.filter((part) => !files.some((name) => name.includes(plain(part))))
if (unmatched.length > 0) {
  const others = isAlone ? '' : ' Those of test/slow, test/hostile and test/faults have commands of their own.'
  console.error(`No test file matches ${unmatched.join(', ')}. npm test -- --list shows all.${others}`)
  process.exit(2)
}

if (values.list) {
  for (const name of files) console.log(name)
  process.exit(0)
}
const results = []
const memory = memoryFolder()
const children = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop(signal))
let status = 0
const failedChecks = []
if ((await check('types', 'tsc', ['-p', '.'])) !== 0) {
  console.log('Types failed, so no test was run.')
  process.exit(status)
}
const queue = files.map((name) => () => test(name))
if (names.length === 0 && !values.unit && !isAlone) {
  queue.unshift(
    () => check('lint', 'eslint', ['.']),
    () => check('format', 'prettier', ['--check', '--log-level', 'warn', '.']),
  )
}
await Promise.all(Array.from({ length: isAlone ? 1 : TOGETHER }, () => work(queue)))
report()
process.exit(status)

/** The names of the test files to run, such as `cli/audit`, longest first. Not what is built: its source may be gone. */
function testFiles() {
  return readdirSync(join(root, 'test'), { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => path.replace(/\.test\.ts$/, ''))
    .filter((name) => SLOW.test(name) === (values.slow ?? false))
    .filter((name) => HOSTILE.test(name) === (values.hostile ?? false))
    .filter((name) => FAULTS.test(name) === (values.faults ?? false))
    .filter((name) => !values.unit || UNIT.test(name))
    .filter((name) => names.length === 0 || names.some((part) => name.includes(plain(part))))
    .sort((a, b) => (durations[b] ?? UNKNOWN_SECONDS) - (durations[a] ?? UNKNOWN_SECONDS) || (a < b ? -1 : 1))
}

/** Makes a folder in memory, where there is room and programs may be started; who sets TMPDIR wants another one. */
function memoryFolder() {
  if (process.env.TMPDIR !== undefined || !existsSync(MEMORY)) return undefined
  const { bavail, bsize } = statfsSync(MEMORY)
  if (bavail * bsize < MEMORY_BYTES) return undefined
  const folder = mkdtempSync(join(MEMORY, 'gitgate-'))
  // A server that runs as another user must get to its repositories.
  chmodSync(folder, 0o755)
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, 'script')
  writeFileSync(script, '#!/bin/sh\n', { mode: 0o700 })
  return spawnSync(script).status === 0 ? folder : undefined
}

/** Takes a file's path, built or not, for its name. */
function plain(part) {
  return part.replace(/^(\.\/)?(build\/)?test\//, '').replace(/(\.test)?\.[jt]s$/, '')
}

async function work(tasks) {
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) await task()
}

async function test(name) {
  const result = await runFile(root, join(root, 'build', 'test', `${name}.test.js`), {
    env: {
      ...(values.unit ? { PATH: '' } : {}),
      ...(memory !== undefined && !ON_DISK.test(name) ? { TMPDIR: memory } : {}),
    },
  })
  results.push({ ...result, name })
  if (result.failed) status = 1
  show(result.failed, result.seconds, name)
  for (const { where, why } of result.failed ? failures(result.tap) : []) console.log(`${where}\n${why}\n`)
}

/** Ends what runs, and says what came of the rest. */
function stop(signal) {
  for (const child of children) child.kill(signal)
  report()
  console.log(`Stopped by ${signal}.`)
  process.exit(1)
}

function readArguments(config) {
  try {
    return parseArgs(config)
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}

/** Runs a program of node_modules; what it prints is shown when it has ended. @returns its exit status */
async function check(name, program, args) {
  const begun = performance.now()
  const child = spawn(join(root, 'node_modules', '.bin', program), args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const code = await new Promise((done) => {
    child.on('error', (error) => {
      output += error.message
      done(1)
    })
    child.on('close', (exit) => done(exit ?? 1))
  })
  if (code !== 0) {
    status = code
    failedChecks.push(name)
  }
  show(code !== 0, (performance.now() - begun) / 1_000, name)
  if (code !== 0) console.log(output)
  return code
}

function show(failed, seconds, name) {
  console.log(`${failed ? 'FAILED' : 'ok    '} ${seconds.toFixed(1).padStart(6)} s  ${name}`)
}

/** Ends with what one looks for: what failed, what was skipped, what took long, and the counts on one line. */
function report() {
  const tap = results.map((result) => result.tap).join('')
  writeFileSync(join(root, 'build', 'test.tap'), tap)
  const byTime = results.toSorted((a, b) => b.seconds - a.seconds)
  if (values['record-durations']) {
    const recorded = { ...(names.length > 0 || values.unit || isAlone ? durations : {}) }
    for (const { name, seconds } of byTime) recorded[name] = Number(seconds.toFixed(1))
    const sorted = Object.fromEntries(Object.entries(recorded).sort(([a], [b]) => (a < b ? -1 : 1)))
    writeFileSync(DURATIONS, `${JSON.stringify(sorted, undefined, 2)}\n`)
    console.log(`Wrote ${relative(process.cwd(), DURATIONS)}.`)
  }
  console.log(`\nThe slowest of ${results.length} files:`)
  for (const { failed, seconds, name } of byTime.slice(0, SLOWEST_SHOWN)) show(failed, seconds, name)

  const { passed, failed, skipped } = count(tap)
  console.log('')
  for (const name of failedChecks) console.log(`failed: ${name} (see above)`)
  for (const { where } of failures(tap)) console.log(`failed: ${where.slice(0, 300)}`)
  for (const name of skipped) console.log(`skipped: ${name}`)
  if (skipped.length > 0 && process.env.GITGATE_REQUIRE_ALL === '1') {
    console.log('GITGATE_REQUIRE_ALL is set, and tests were skipped.')
    status = 1
  }
  console.log(`\n${((performance.now() - started) / 1_000).toFixed(0)} s`)
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
}
