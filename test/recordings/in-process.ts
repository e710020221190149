import { Readable, Writable } from 'node:stream'
import { rooms } from '../../src/cli-rooms.js'
import { runCli } from '../../src/cli/program.js'
import type { CliRooms } from '../../src/cli/rooms.js'
import type { CliResult } from '../acceptance/gitgate-process.js'

/** How a command runs. */
export type CommandOptions = {
  readonly clock: () => Date
  readonly env?: Readonly<Record<string, string>>
  /** Its standard input. */
  readonly input?: string
  /** @default the adapters of the program */
  readonly rooms?: CliRooms
}

/** Runs a command of the command line in this process. */
export async function gitgate(args: readonly string[], options: CommandOptions): Promise<CliResult> {
  const { clock, env = {}, input = '', rooms: own = rooms } = options
  const stdin = Readable.from([Buffer.from(input)]) as unknown as NodeJS.ReadStream
  const [stdout, stderr] = [collector(), collector()]
  const terminal = { stdin, stdout: stdout.stream, stderr: stderr.stream, env, signal: new AbortController().signal }
  const status = await runCli(args, terminal, own, clock)
  return { status, stdout: stdout.text(), stderr: stderr.text() }
}

function collector() {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  return { stream, text: () => text }
}
