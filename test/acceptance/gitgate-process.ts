import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Owner } from '../backends/backend.js'

const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'bin', 'gitgate.js')

/** What a command said. */
export type CliResult = { readonly status: number; readonly stdout: string; readonly stderr: string }

/** The command line as a person uses it: a process of its own, in a folder of its own. */
export class GitgateCli {
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  readonly #program: string

  /** @param program another executable than that of this checkout */
  constructor(folder: string, env: Readonly<Record<string, string>> = {}, program = PROGRAM) {
    this.folder = folder
    this.#program = program
    this.env = { PATH: process.env['PATH'] ?? '', HOME: folder, GITGATE_BCRYPT_COST: '4', ...env }
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], input = ''): Promise<CliResult> {
    const child = this.#spawn(args)
    const said = collect(child)
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? -1))
    })
    return { status, ...said }
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
  async serve(t: Owner, args: readonly string[] = ['serve', '--port', '0']): Promise<GateProcess> {
    const child = this.#spawn(args)
    const said = collect(child)
    child.stdin?.end()
    const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)))
    const gate: GateProcess = {
      child,
      said,
      url: '',
      async stop() {
        child.kill('SIGTERM')
        return await ended
      },
    }
    t.teardown(() => gate.stop())
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout?.on('data', () => {
        const line = /^gitgate listens on (\S+)$/m.exec(said.stdout)
        if (line?.[1] !== undefined) resolve(line[1])
      })
      child.on('close', () => reject(new Error(`the gate ended: ${said.stderr}`)))
    })
    return Object.assign(gate, { url })
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [this.#program, ...args], { cwd: this.folder, env: this.env })
  }
}

/** A gate in a process of its own. */
export type GateProcess = {
  readonly child: ChildProcess
  readonly url: string
  /** All that it has written so far. */
  readonly said: { readonly stdout: string; readonly stderr: string }
  /** Asks it to end. @returns its exit status */
  stop(): Promise<number>
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const said = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
  return said
}
