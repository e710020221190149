import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../errors.js'

/** A git process whose ends are streams. */
export type GitRun = {
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What git reads; `undefined`: nothing. */
  readonly input: Readable | undefined
  /** Called at git's first byte; git's output goes to what it returns, which stays open. */
  readonly begin: () => Writable
  /** Ends git and whatever it started. */
  readonly signal: AbortSignal
}

/** How a git process ended. */
export type GitEnd = {
  /** Whether git said anything on its standard output. */
  readonly began: boolean
  /** `undefined`: exit status 0. Otherwise what went wrong, in words. */
  readonly failure: string | undefined
  /** Whether a signal ended it, so that its output may stop anywhere. */
  readonly killed: boolean
  /** The end of what it wrote to standard error. */
  readonly stderr: string
}

const KEPT_STDERR = 4_096
// Ending git's input first lets receive-pack take its quarantine away; a signal leaves it behind (measured).
const TERMINATE_AFTER = 400
const KILL_AFTER = 800
// Killed processes are gone within milliseconds, unless nobody takes note of their end.
const GONE_AFTER = 500
const LOOK_EVERY = 10

/** Runs git until it and all that it started have ended. Never rejects. */
export async function runGit(run: GitRun): Promise<GitEnd> {
  return await new Promise((resolve) => {
    // A process group of its own, so that what git starts can be ended with it.
    const child = spawn(run.program, run.args, {
      cwd: '/',
      env: run.env,
      stdio: [run.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const stderr = new Tail(KEPT_STDERR)
    let began = false
    let failure: string | undefined
    let killed = false

    child.on('error', (error) => (failure = messageOf(error)))
    child.stderr?.on('data', (chunk: Buffer) => stderr.add(chunk))
    child.stdout?.once('data', (chunk: Buffer) => {
      began = true
      const output = run.begin()
      output.write(chunk)
      child.stdout?.pipe(output, { end: false })
    })
    if (run.input !== undefined) feed(run.input, child)

    const stop = stopper(child, run.input)
    if (run.signal.aborted) stop.now()
    else run.signal.addEventListener('abort', stop.now, { once: true })

    child.on('exit', (code, signal) => {
      killed = signal !== null
      if (signal !== null) failure = `ended by ${signal}`
      else if (code !== 0) failure = `exit status ${code ?? 'unknown'}`
    })
    child.on('close', () => {
      run.signal.removeEventListener('abort', stop.now)
      const end = { began, failure, killed, stderr: stderr.toString() }
      void stop.rest().then(() => resolve(end))
    })
  })
}

function feed(input: Readable, child: ChildProcess): void {
  const { stdin } = child
  if (stdin === null) return
  // Git may stop reading when it has what it needs; the rest is read and dropped, so that the client gets its answer.
  stdin.on('error', () => {
    input.unpipe(stdin)
    input.resume()
  })
  input.on('error', () => stdin.end())
  input.on('close', () => stdin.end())
  // One that has failed already says so no more.
  if (input.destroyed) stdin.end()
  else input.pipe(stdin)
}

function stopper(child: ChildProcess, input: Readable | undefined) {
  const timers: NodeJS.Timeout[] = []
  /** @returns false when the whole group is gone already */
  const signalGroup = (signal: NodeJS.Signals | 0): boolean => {
    if (child.pid === undefined) return false
    try {
      return process.kill(-child.pid, signal)
    } catch {
      return false
    }
  }
  return {
    now: (): void => {
      if (child.stdin !== null) input?.unpipe(child.stdin)
      child.stdin?.end()
      child.stdout?.destroy()
      timers.push(
        setTimeout(() => signalGroup('SIGTERM'), TERMINATE_AFTER),
        setTimeout(() => signalGroup('SIGKILL'), KILL_AFTER),
      )
    },
    /** Ends what is left when git itself has ended, so that nothing of it is at work any more. */
    rest: async (): Promise<void> => {
      timers.forEach((timer) => clearTimeout(timer))
      if (timers.length === 0) return
      signalGroup('SIGKILL')
      for (let i = 0; i < GONE_AFTER / LOOK_EVERY && signalGroup(0); i++) await delay(LOOK_EVERY)
    },
  }
}

/** Keeps the last bytes of a stream. */
class Tail {
  readonly #limit: number
  #kept = Buffer.alloc(0)

  constructor(limit: number) {
    this.#limit = limit
  }

  add(chunk: Buffer): void {
    this.#kept = Buffer.concat([this.#kept, chunk]).subarray(-this.#limit)
  }

  toString(): string {
    return this.#kept.toString('utf8').trim()
  }
}
