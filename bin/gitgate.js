#!/usr/bin/env node
// The executable: hands the process's ends to the command line, and its signals; nothing else in gitgate exits.
import { systemClock } from '../build/src/clock.js'
import { runCli } from '../build/src/cli/program.js'
import { rooms } from '../build/src/gitgate.js'

const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) {
  // The second time the process ends at once, as the shell's user expects.
  process.once(signal, () => ending.abort())
}
// `gitgate token list | head -1` closes the pipe early; that is no failure.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const { stdin, stdout, stderr, env } = process
const terminal = { stdin, stdout, stderr, env, signal: ending.signal }
process.exit(await runCli(process.argv.slice(2), terminal, rooms, systemClock))
