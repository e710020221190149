import type { ChildProcess, StdioOptions } from 'node:child_process'
import { spawn } from 'node:child_process'
import { messageOf } from '../../core/errors.js'
import type { GitCommand, GitProcess, ProcessEnd } from './git-process.js'

const KEPT_STDERR = 4_096

/** Starts git from this process, which holds up its event loop for 10 to 30 ms. */
export function startHere(command: GitCommand): Promise<GitProcess> {
  const child = spawnGit(command, [command.reads ? 'pipe' : 'ignore', 'pipe', 'pipe'])
  const { pid, stdin, stdout } = child
  if (stdout === null) throw new TypeError('a pipe was asked for')
  return Promise.resolve({ pid, stdin: stdin ?? undefined, stdout, ended: endOf(child) })
}

/** Spawns git: no shell, no folder of anybody's, and a process group of its own, so that what git starts can be ended with it. */
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
    child.on('error', (error) => (failure = messageOf(error)))
    child.stderr?.on('data', (chunk: Buffer) => (stderr = Buffer.concat([stderr, chunk]).subarray(-KEPT_STDERR)))
    child.on('exit', (code, signal) => {
      killed = signal !== null
      exitStatus = code
      if (signal !== null) failure = `ended by ${signal}`
      else if (code !== 0) failure ??= `exit status ${code ?? 'unknown'}`
    })
    child.on('close', () => resolve({ failure, exitStatus, killed, stderr: stderr.toString('utf8').trim() }))
  })
}
