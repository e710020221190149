#!/usr/bin/env node
// The executable: hands the process's ends to the command line, and its signals; nothing else in gitgate exits.
import cluster from 'node:cluster'
import { closeSync, openSync } from 'node:fs'
import { Writable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'

// Every 64 KiB that pass through the gate are garbage at once. A young generation that stays small is swept before they
// pile up: a peak of 100 MB instead of 160 while 500 MB are pushed on a busy machine. The old one, to which some of them
// get, may double before it is swept: left to itself, V8 does that every 2 MB where the machine is busy, and a gibibyte up
// costs 5 s instead of 2. Both must be said before the heap grows, hence the imports below.
setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--heap-growing-percent=100')

const { systemClock } = await import('../build/src/core/clock.js')
const { runCli } = await import('../build/src/cli/program.js')
const { createCliDependencies } = await import('../build/src/app/cli-dependencies.js')

// More than transfers get at the end, unless somebody has configured otherwise.
const LONGEST_END_MS = 600_000

const isOnTerminal = process.stdin.isTTY === true
const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) {
  // The second time the process ends at once, as the shell's user expects.
  process.once(signal, () => ending.abort())
}
const onReload = (listener) => {
  process.on('SIGHUP', () => {
    if (!hasLostTerminal()) return listener()
    // A closed terminal sends SIGHUP, too: it ends a gate that was started on it, as it does without a listener.
    process.removeAllListeners('SIGHUP')
    process.kill(process.pid, 'SIGHUP')
  })
}
// What nobody has caught leaves the program in a state that nobody has thought of: it is logged, what runs may finish, and the
// status tells the supervisor to start the gate again.
let isBroken = false
process.on('uncaughtException', async (error) => {
  if (isBroken) return
  isBroken = true
  ending.abort()
  setTimeout(() => process.exit(1), LONGEST_END_MS).unref()
  const [{ createLog }, { redactTokens }] = await Promise.all([
    import('../build/src/server/log.js'),
    import('../build/src/domain/tokens/token-secret.js'),
  ])
  createLog('fatal', redactTokens).fatal({ err: error }, 'unexpected error; ending')
})
// `gitgate token list | head -1` closes the pipe early; that is no failure.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1))
// A log that nobody reads any more ends no transfer.
process.stderr.on('error', () => undefined)
// Only gitgate's user can read the files that gitgate writes. Git writes repositories under the umask that gitgate was started with.
const umask = process.umask(0o077)

const { stdin, stdout, stderr, env } = process
// Of several processes that serve, the first one speaks.
const silence = cluster.isWorker ? new Writable({ write: (_piece, _encoding, done) => done() }) : undefined
const terminal = { stdin, stdout: silence ?? stdout, stderr: silence ?? stderr, env, signal: ending.signal, onReload }
const status = await runCli(process.argv.slice(2), terminal, createCliDependencies({ umask }), systemClock)
// What a slow reader has not taken yet would be lost with the process.
for (const stream of [stdout, stderr])
  if (stream.writableLength > 0) await new Promise((done) => stream.write('', done))
process.exit(isBroken ? 1 : status)

function hasLostTerminal() {
  if (!isOnTerminal) return false
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return false
  } catch {
    return true
  }
}
