import type { ChildProcess, StdioOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../../core/errors.js'
import { withUmask } from '../../core/umask.js'

/** A git command to start. */
export type GitCommand = {
  readonly program: string
  /** Written by gitgate. A user's string may be among them only where git can't take it for a flag. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Whether it reads standard input; otherwise its standard input is empty. */
  readonly reads: boolean
}

/** A git process that was started, in a process group of its own. */
export type GitProcess = {
  /** The ID of the process and of its group; `undefined` if it couldn't be started. */
  readonly pid: number | undefined
  /** Its standard input, if it reads. */
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  /** Resolves when the process has exited and its standard error is closed. Never rejects. */
  readonly ended: Promise<ProcessEnd>
}

/** How a process ended. */
export type ProcessEnd = {
  /** What went wrong, in words; `undefined` for exit status 0. */
  readonly failure: string | undefined
  /** `null` if a signal ended the process, or if it couldn't be started. */
  readonly exitStatus: number | null
  /** Whether a signal ended the process, so that its output may stop anywhere. */
  readonly killed: boolean
  /** The end of its standard error. */
  readonly stderr: string
}

/** Starts git. Never rejects: a process that can't be started ends immediately. */
export type StartGit = (command: GitCommand) => Promise<GitProcess>

/** A git process whose input and output are streams. */
export type GitRun = {
  readonly start: StartGit
  readonly program: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What git reads, if anything. */
  readonly input: Readable | undefined
  /** Called at git's first byte. Git's output goes to the stream that it returns, which stays open. */
  readonly begin: () => Writable
  /** Ends git and all that git started. */
  readonly signal: AbortSignal
}

/** How a run ended. */
export type GitEnd = ProcessEnd & {
  /** Whether git wrote anything to its standard output. */
  readonly began: boolean
}

/**
 * How git is stopped: its input ends first, which lets receive-pack remove its quarantine. A signal leaves the quarantine behind
 * (measured).
 */
export const TERMINATE_AFTER_MS = 400
export const KILL_AFTER_MS = 800
// Killed processes are gone within milliseconds, unless nobody waits for them.
const GONE_TIMEOUT_MS = 500
const POLL_INTERVAL_MS = 10
const MAX_STDERR_BYTES = 4_096
const MAX_OUTPUT_BYTES = 1_048_576

/** Runs git until git and all that it started have ended. Never rejects. */
export async function runGit({ start, program, args, env, input, begin, signal }: GitRun): Promise<GitEnd> {
  // The input may fail while git is being started. One that has a `data` listener would flow away unread, hence the pause.
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

  const timers: NodeJS.Timeout[] = []
  const stop = (): void => {
    if (git.stdin !== undefined) input?.unpipe(git.stdin)
    git.stdin?.end()
    git.stdout.destroy()
    timers.push(
      setTimeout(() => signalGroup(git.pid, 'SIGTERM'), TERMINATE_AFTER_MS),
      setTimeout(() => signalGroup(git.pid, 'SIGKILL'), KILL_AFTER_MS),
    )
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })

  const [end] = await Promise.all([git.ended, closed(git.stdout)])
  signal.removeEventListener('abort', stop)
  timers.forEach((timer) => clearTimeout(timer))
  // Git has ended, but perhaps not what it started.
  if (timers.length > 0) await killGroup(git.pid)
  return { ...end, began }
}

/**
 * Runs a git command and collects its output. Never rejects.
 *
 * @param input what git reads, if anything
 * @param maxBytes git is killed when it writes more, and the output up to then is returned. @default 1 MiB
 */
export async function readOutput(
  start: StartGit,
  command: Omit<GitCommand, 'reads'>,
  input?: string,
  maxBytes = MAX_OUTPUT_BYTES,
): Promise<ProcessEnd & { readonly bytes: Buffer }> {
  const { pid, stdin, stdout, ended } = await start({ ...command, reads: input !== undefined })
  // Git may exit before it has read everything.
  stdin?.on('error', () => undefined)
  stdin?.end(input)
  const chunks: Buffer[] = []
  let length = 0
  stdout.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= maxBytes) chunks.push(chunk)
    else stdout.destroy()
  })
  await closed(stdout)
  if (length > maxBytes) await killGroup(pid)
  return { ...(await ended), bytes: Buffer.concat(chunks) }
}

/**
 * Starts git from this process. That blocks the event loop of a gate for 10 to 30 ms (measured).
 *
 * @param umask git's umask. @default this process's
 */
export function startDirectly(command: GitCommand, umask?: number): Promise<GitProcess> {
  const child = withUmask(umask, () => spawnGit(command, [command.reads ? 'pipe' : 'ignore', 'pipe', 'pipe']))
  const { pid, stdin, stdout } = child
  return Promise.resolve({ pid, stdin: stdin ?? undefined, stdout: stdout ?? Readable.from([]), ended: endOf(child) })
}

/** Spawns git without a shell, in a neutral folder, as the leader of a process group: so all that git starts can be killed. */
export function spawnGit({ program, args, env }: Omit<GitCommand, 'reads'>, stdio: StdioOptions): ChildProcess {
  return spawn(program, args, { cwd: '/', env, stdio, detached: true })
}

/** Waits for the end of a process whose standard error is a pipe. Never rejects. */
export async function endOf(child: ChildProcess): Promise<ProcessEnd> {
  return await new Promise((resolve) => {
    let stderr = Buffer.alloc(0)
    let failure: string | undefined
    let exitStatus: number | null = null
    let killed = false
    const resolveWithEnd = (): void => resolve({ failure, exitStatus, killed, stderr: stderr.toString('utf8').trim() })
    child.on('error', (error) => {
      failure = messageOf(error)
      // Without a free descriptor, Node makes no pipes, and emits no `close`.
      if (!hasPipes(child)) resolveWithEnd()
    })
    child.stderr?.on('data', (chunk: Buffer) => (stderr = Buffer.concat([stderr, chunk]).subarray(-MAX_STDERR_BYTES)))
    child.on('exit', (code, signal) => {
      killed = signal !== null
      exitStatus = code
      if (signal !== null) failure = `ended by ${signal}`
      else if (code !== 0) failure ??= `exit status ${code ?? 'unknown'}`
    })
    child.on('close', resolveWithEnd)
  })
}

/** Whether Node has made the pipes of a process, despite what its types say. */
function hasPipes({ stderr }: Partial<Pick<ChildProcess, 'stderr'>>): boolean {
  return stderr !== undefined && stderr !== null
}

/** Signals a process group. @returns false if all of its processes are gone */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

/** Kills a process group. Resolves when all of its processes are gone. */
export async function killGroup(pid: number | undefined): Promise<void> {
  signalGroup(pid, 'SIGKILL')
  for (let i = 0; i < GONE_TIMEOUT_MS / POLL_INTERVAL_MS && signalGroup(pid, 0); i++) await delay(POLL_INTERVAL_MS)
}

function feed(input: Readable, stdin: Writable): void {
  // Git may stop reading when it has what it needs. The rest is read and dropped, so that the client gets to its response.
  stdin.on('error', () => {
    input.unpipe(stdin)
    input.resume()
  })
  input.on('error', () => stdin.end())
  input.on('close', () => stdin.end())
  // A stream that has failed before emits nothing more.
  if (input.destroyed) stdin.end()
  else input.pipe(stdin)
}

async function closed(stream: Readable): Promise<void> {
  if (stream.closed) return
  await new Promise<void>((resolve) => stream.once('close', resolve))
}
