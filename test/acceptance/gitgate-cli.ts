import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import type { Owner } from '../backends/backend.js'
import { createCliDependencies } from '../../src/app/cli-dependencies.js'
import { runCli } from '../../src/cli/program.js'
import type { CliDependencies } from '../../src/cli/dependencies.js'
import type { Clock } from '../../src/core/clock.js'
import { systemClock } from '../../src/core/clock.js'
import type { Intervals } from '../../src/core/intervals.js'

/** What a command wrote, and its exit status. */
export type CliResult = { readonly status: number; readonly stdout: string; readonly stderr: string }

/** A gate that `serve` started in this process. */
export type ServedGate = {
  readonly url: string
  /** All that it has written so far; its log is in `stderr`. */
  readonly said: { readonly stdout: string; readonly stderr: string }
  /** Asks it to end. @returns its exit status */
  stop(): Promise<number>
}

/** A gate in a process of its own. */
export type GateProcess = ServedGate & { readonly child: ChildProcess }

/** So that no test waits for what a gate does now and then. */
export const TEST_INTERVALS: Intervals = {
  jobPollMs: 20,
  flushMs: 20,
  auditExportMs: 20,
  epochPollMs: 50,
  firstProgressMs: 100,
  shownRefsMs: 10_000,
  slowTransferMs: 30_000,
  slowTransferBytesPerSecond: 32_000,
  refPackingQuietMs: 20,
  requestTimeoutMs: 20_000,
  filePollMs: 20,
  heartbeatMs: 500,
}

/** The executable. */
export const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')
const HOME_FOLDER = process.cwd()
let running: { readonly folder: string; commands: number } | undefined

/**
 * The command line, in a working directory of its own. Commands run in this process: they take milliseconds, where a process
 * of its own takes 0.4 s of CPU. What is about processes (signals, exit codes, locks, file modes, memory) runs in one.
 */
export class GitgateCli {
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  readonly #clock: Clock
  readonly #dependencies: CliDependencies | undefined
  readonly #program: string

  /**
   * @param folder the working directory of its commands
   * @param env variables beside those that make tests quick
   * @param options `clock` and `dependencies` of commands in this process; `program`: another executable than that of
   *   this checkout
   */
  constructor(
    folder: string,
    env: Readonly<Record<string, string>> = {},
    options: { readonly clock?: Clock; readonly dependencies?: CliDependencies; readonly program?: string } = {},
  ) {
    this.folder = folder
    this.env = { PATH: process.env['PATH'] ?? '', HOME: folder, GITGATE_BCRYPT_COST: '4', ...env }
    this.#clock = options.clock ?? systemClock
    this.#dependencies = options.dependencies
    this.#program = options.program ?? PROGRAM
  }

  /** Runs a command to its end. @param input its standard input */
  async run(args: readonly string[], input = ''): Promise<CliResult> {
    const command = this.#start(args, Readable.from(input === '' ? [] : [input]))
    return { status: await command.ended, ...command.said }
  }

  /** Runs a command that must succeed. @returns its standard output, without the line's end */
  async ask(args: readonly string[], input = ''): Promise<string> {
    const { status, stdout, stderr } = await this.run(args, input)
    if (status !== 0) throw new Error(`gitgate ${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout.trim()
  }

  /** Runs a command that must succeed with `--json`. */
  async json(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.ask([...args, '--json'])) as unknown
  }

  /** Starts a gate, and waits until it listens; it ends with its owner. */
  async serve(t: Owner, args: readonly string[] = ['serve', '--port', '0']): Promise<ServedGate> {
    const command = this.#start(args, new PassThrough().end())
    const stop = (): Promise<number> => {
      command.abort()
      return command.ended
    }
    t.teardown(stop)
    return { url: await command.listening(), said: command.said, stop }
  }

  /** Runs a command to its end, in a process of its own. @param input its standard input */
  async runProcess(args: readonly string[], input = ''): Promise<CliResult> {
    const { child, said, ended } = this.#spawn(args)
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    return { status: await ended, ...said }
  }

  /**
   * Starts a gate in a process of its own, and waits until it listens; it ends with its owner.
   *
   * @param options `wrapper`: the command that starts it; `hasOwnGroup`: whether it leads a process group
   */
  async serveProcess(
    t: Owner,
    args: readonly string[] = ['serve', '--port', '0'],
    options: { readonly wrapper?: readonly string[]; readonly hasOwnGroup?: boolean } = {},
  ): Promise<GateProcess> {
    const { child, said, ended } = this.#spawn(args, options)
    child.stdin?.end()
    const stop = (): Promise<number> => {
      child.kill('SIGTERM')
      return ended
    }
    t.teardown(stop)
    const url = await listening(said, ended, (check) => child.stdout?.on('data', check))
    return { child, said, url, stop }
  }

  #spawn(args: readonly string[], { wrapper = [] as readonly string[], hasOwnGroup = false } = {}) {
    const [program = '', ...all] = [...wrapper, process.execPath, this.#program, ...args]
    const child = spawn(program, all, { cwd: this.folder, env: this.env, detached: hasOwnGroup })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? -1))
    })
    return { child: child as ChildProcess, said, ended }
  }

  #start(args: readonly string[], stdin: NodeJS.ReadableStream) {
    enter(this.folder)
    const [said, env, ending] = [{ stdout: '', stderr: '' }, this.env, new AbortController()]
    let onStdout = (): void => undefined
    const stdout = collect((text) => {
      said.stdout += text
      onStdout()
    })
    const stderr = collect((text) => (said.stderr += text))
    const dependencies =
      this.#dependencies ??
      createCliDependencies({
        clock: this.#clock,
        env,
        logDestination: stderr,
        durable: false,
        intervals: TEST_INTERVALS,
      })
    const terminal = { stdin, stdout, stderr, env, signal: ending.signal, onReload: () => undefined }
    const ended = runCli(args, terminal, dependencies, this.#clock).finally(leave)
    return {
      said,
      ended,
      abort: () => ending.abort(),
      listening: () => listening(said, ended, (check) => (onStdout = check)),
    }
  }
}

/** Waits for the line that names a gate's URL. @param onStdout has `check` called when there is more to read */
function listening(
  said: { readonly stdout: string; readonly stderr: string },
  ended: Promise<number>,
  onStdout: (check: () => void) => unknown,
): Promise<string> {
  return new Promise((resolve, reject) => {
    onStdout(() => {
      const line = /^gitgate listens on (\S+)$/m.exec(said.stdout)
      if (line?.[1] !== undefined) resolve(line[1])
    })
    void ended.then(() => reject(new Error(`the gate ended: ${said.stderr}`)))
  })
}

/** Makes a folder the working directory, as relative paths need; all that run at once share it. */
function enter(folder: string): void {
  if (running !== undefined && running.folder !== folder)
    throw new TypeError(`a command still runs in ${running.folder}; this process has one working directory`)
  process.chdir(folder)
  running ??= { folder, commands: 0 }
  running.commands += 1
}

function leave(): void {
  if (running === undefined) return
  running.commands -= 1
  if (running.commands > 0) return
  running = undefined
  // The folder goes with its test, and a process whose working directory is gone can start no other.
  process.chdir(HOME_FOLDER)
}

function collect(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(chunk.toString())
      done()
    },
  })
}
