import type { Readable, Writable } from 'node:stream'
import type { GitProcess, ProcessEnd, StartGit } from './git-process.js'
import { killGroup, signalGroup } from './process-group.js'

/** A git process whose ends are streams. */
export type GitRun = {
  readonly start: StartGit
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
export type GitEnd = ProcessEnd & {
  /** Whether git said anything on its standard output. */
  readonly began: boolean
}

// Ending git's input first lets receive-pack take its quarantine away; a signal leaves it behind (measured).
const TERMINATE_AFTER = 400
const KILL_AFTER = 800

/** Runs git until it and all that it started have ended. Never rejects. */
export async function runGit({ start, program, args, env, input, begin, signal }: GitRun): Promise<GitEnd> {
  // While git is being started the input may fail, and one that somebody counts would flow to nobody.
  input?.on('error', () => undefined)
  input?.pause()
  const git = await start({ program, args, env, reads: input !== undefined })
  let began = false
  git.stdout.once('data', (chunk: Buffer) => {
    began = true
    const output = begin()
    output.write(chunk)
    git.stdout.pipe(output, { end: false })
  })
  if (input !== undefined && git.stdin !== undefined) feed(input, git.stdin)

  const stop = stopper(git, input)
  if (signal.aborted) stop.now()
  else signal.addEventListener('abort', stop.now, { once: true })

  const [end] = await Promise.all([git.ended, closed(git.stdout)])
  signal.removeEventListener('abort', stop.now)
  await stop.rest()
  return { ...end, began }
}

/** Waits until a stream has ended, or failed. */
export async function closed(stream: Readable): Promise<void> {
  if (stream.closed) return
  await new Promise<void>((resolve) => stream.once('close', resolve))
}

function feed(input: Readable, stdin: Writable): void {
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

function stopper({ pid, stdin, stdout }: GitProcess, input: Readable | undefined) {
  const timers: NodeJS.Timeout[] = []
  return {
    now: (): void => {
      if (stdin !== undefined) input?.unpipe(stdin)
      stdin?.end()
      stdout.destroy()
      timers.push(
        setTimeout(() => signalGroup(pid, 'SIGTERM'), TERMINATE_AFTER),
        setTimeout(() => signalGroup(pid, 'SIGKILL'), KILL_AFTER),
      )
    },
    /** Ends what is left when git itself has ended, so that nothing of it is at work any more. */
    rest: async (): Promise<void> => {
      timers.forEach((timer) => clearTimeout(timer))
      if (timers.length > 0) await killGroup(pid)
    },
  }
}
