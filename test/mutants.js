// Checks that the tests can fail: breaks the gate in one way at a time, in a copy of the tree, and expects tests to notice.
// `npm run test:mutants` tries all mutations, `npm run test:mutants -- NAME…` those whose name contains NAME. Not part of CI.
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { runFile } from './run-file.js'
import { failedTests, failures } from './tap-output.js'

/**
 * Each edit is a source text and its replacement. The text is looked for in all files under src, where it must stand exactly
 * once. `killedBy` names test files by a part of their name; a test must fail in each of them.
 */
const MUTATIONS = [
  {
    name: 'skip-ban',
    simulates: 'an address that was banned may go on guessing',
    edits: [['record.consumedPoints > settings.git_basic_auth_maxretry', 'record.consumedPoints > Infinity']],
    killedBy: ['access/ban', 'access/authenticate', 'acceptance/token-lifecycle'],
  },
  {
    name: 'skip-epoch',
    simulates: 'rows stay in memory when the security epoch moves',
    edits: [['if (this.#current?.epoch !== epoch)', 'if (this.#current === undefined)']],
    killedBy: ['access/authenticate', 'acceptance/token-lifecycle'],
  },
  {
    name: 'ignore-expiry',
    simulates: 'an expired token still works',
    edits: [["token.expiresAt <= now) return 'expired'", "token.expiresAt <= new Date(0)) return 'expired'"]],
    killedBy: ['tokens/scope-and-expiry', 'acceptance/token-lifecycle'],
  },
  {
    name: 'ignore-scopes',
    simulates: 'any scope lets a token read and push',
    edits: [['scopes.some((scope) => enough.has(scope))', 'scopes.some(() => enough.size > 0)']],
    killedBy: ['tokens/scope-and-expiry', 'acceptance/decision-table'],
  },
  {
    name: 'ignore-restrictions',
    simulates: 'a token reaches repositories and refs that it is not limited to',
    edits: [
      ['const isOwn = repositories.length === 0', 'const isOwn = repositories.length >= 0'],
      ['if (allowed.has(verb)) return undefined', 'if (allowed.size >= 0) return undefined'],
    ],
    killedBy: ['tokens/restriction', 'access/decide-ref', 'acceptance/agent-tokens'],
  },
  {
    name: 'ignore-protections',
    simulates: 'protected refs can be pushed',
    edits: [['of covering) {', 'of covering.slice(0, 0)) {']],
    killedBy: ['access/protection', 'acceptance/refused-refs'],
  },
  {
    name: 'stale-advertisement',
    simulates: 'the cache gives out a list of refs from before a push',
    edits: [
      ['request.listsRefs ? state.fingerprint', "request.listsRefs && state.fingerprint === '' ? state.fingerprint"],
    ],
    killedBy: ['acceptance/cache-hits', 'acceptance/cache-freshness'],
  },
  {
    name: 'drop-audit-event',
    simulates: 'a fetch leaves no row in the audit log',
    edits: [['this.#waiting.push(event)', "if (event.action !== 'git.fetch') this.#waiting.push(event)"]],
    killedBy: ['audit/recorder', 'acceptance/audit.test'],
  },
  {
    name: 'forward-authorization',
    simulates: "the upstream gets the client's Authorization header",
    edits: [
      [
        'preferences: preferencesOf(request.headers),',
        'preferences: { ...preferencesOf(request.headers), ...{ authorization: request.headers.authorization } },',
      ],
      [
        'gate.authorization?.reveal()',
        '(request.preferences as { authorization?: string }).authorization ?? gate.authorization?.reveal()',
      ],
    ],
    killedBy: ['upstream/forwarding', 'security/redaction'],
  },
  {
    name: 'accept-used-totp',
    simulates: 'a code of the authenticator app works twice',
    edits: [["where('last_step', '<', step)", "where('last_step', '<=', step)"]],
    killedBy: ['accounts/two-factor', 'web/sessions', 'storage/contract.test'],
  },
]

const TESTS_TO_KILL = 2
// Far above what the slowest of these files takes.
const FILE_TIMEOUT_MS = 240_000

const root = join(import.meta.dirname, '..')
const wanted = process.argv.slice(2)
const mutations = MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
if (mutations.length === 0)
  stop(`No mutation has such a name. There are: ${MUTATIONS.map(({ name }) => name).join(', ')}`)

const started = performance.now()
const copy = mkdtempSync(join(tmpdir(), 'gitgate-mutants-'))
process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const LEFT_OUT = ['.git', 'node_modules', 'build', 'data', 'repos']
for (const name of readdirSync(root).filter((name) => !LEFT_OUT.includes(name)))
  cpSync(join(root, name), join(copy, name), { recursive: true, filter: (path) => !path.endsWith('/.cache') })
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))

// All of them before anything runs, so that a table that no longer fits the source fails at once.
const plans = mutations.map(({ name, simulates, edits, killedBy }) => ({
  name,
  simulates,
  edits: edits.map(([text, replacement]) => ({ file: findSource(name, text), text, replacement })),
  tests: killedBy.map((part) => findTest(name, part)),
}))

if (!(await compile())) stop('The source does not compile without a mutation.')
const unmutated = await runTests([...new Set(plans.flatMap(({ tests }) => tests))])
for (const { where, why } of failures(unmutated.tap)) console.log(`${where}\n${why}\n`)
if (unmutated.failed) stop('These tests must pass without a mutation.')
console.log(`Without a mutation all tests pass (${seconds()} s).`)

let survivors = 0
for (const { name, simulates, edits, tests } of plans) {
  const killers = await tryMutation(name, edits, tests)
  const killersIn = (test) => killers.filter(({ file }) => file === `${test}.test.js`)
  const isKilled = killers.length >= TESTS_TO_KILL && tests.every((test) => killersIn(test).length > 0)
  if (!isKilled) survivors += 1
  console.log(`\n${isKilled ? 'killed  ' : 'SURVIVES'}  ${name}: ${simulates} (failing tests: ${killers.length})`)
  for (const test of tests) {
    console.log(`          ${test}${killersIn(test).length === 0 ? ': no test fails' : ''}`)
    for (const killer of killersIn(test)) console.log(`            ${killer.test}`)
  }
}
console.log(`\n${plans.length - survivors} of ${plans.length} mutations are killed (${seconds()} s).`)
process.exit(survivors === 0 ? 0 : 1)

/** Applies a mutation, runs the tests that are expected to fail, and takes it back. @returns the tests that failed */
async function tryMutation(name, edits, tests) {
  const files = edits.map(({ file }) => file)
  const originals = new Map(files.map((file) => [file, readFileSync(join(copy, file), 'utf8')]))
  for (const { file, text, replacement } of edits) {
    const path = join(copy, file)
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(text, () => replacement),
    )
  }
  if (!(await compile())) stop(`The mutation ${name} does not compile.`)
  const { tap } = await runTests(tests)
  for (const [file, original] of originals) writeFileSync(join(copy, file), original)
  return failedTests(tap)
}

/** Compiles what has changed. */
function compile() {
  return new Promise((resolve) => {
    const child = spawn(join(root, 'node_modules', '.bin', 'tsc'), ['-p', copy], { stdio: 'inherit' })
    child.on('error', () => resolve(false))
    child.on('close', (code) => resolve(code === 0))
  })
}

async function runTests(files) {
  const queue = [...files]
  const results = []
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift())
      results.push(await runFile(copy, join(copy, 'build', 'test', `${file}.test.js`), { timeoutMs: FILE_TIMEOUT_MS }))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return { failed: results.some(({ failed }) => failed), tap: results.map(({ tap }) => tap).join('') }
}

/** The one file that holds a text. */
function findSource(mutation, text) {
  const found = listFiles('src').filter((file) => readFileSync(join(copy, file), 'utf8').includes(text))
  const [file] = found
  const times = found.map((one) => readFileSync(join(copy, one), 'utf8').split(text).length - 1)
  const count = times.reduce((sum, more) => sum + more, 0)
  if (count !== 1) stop(`The mutation ${mutation} no longer applies: under src, this stands ${count} times: ${text}`)
  return file
}

/** The one test file whose name contains a part. */
function findTest(mutation, part) {
  const found = listFiles('test').filter((file) => file.endsWith('.test.ts') && file.includes(part))
  if (found.length !== 1) stop(`The mutation ${mutation} names ${part}: ${found.length} test files have such a name.`)
  return found[0].slice('test/'.length, -'.test.ts'.length)
}

function listFiles(folder) {
  const names = readdirSync(join(copy, folder), { recursive: true })
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
}

function seconds() {
  return ((performance.now() - started) / 1_000).toFixed(0)
}

function stop(why) {
  console.log(why)
  process.exit(1)
}
