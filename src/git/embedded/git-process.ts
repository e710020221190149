import type { Readable, Writable } from 'node:stream'

/** A git to be started. */
export type GitCommand = {
  readonly program: string
  /** Written by us: a user's string is only among them where it can't be taken for a flag. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Whether it has anything to read; otherwise its standard input is empty. */
  readonly reads: boolean
}

/** A git that was started, in a process group of its own. */
export type GitProcess = {
  /** Of the process, and of its group; `undefined` where it could not be started. */
  readonly pid: number | undefined
  /** Its standard input, if it reads. */
  readonly stdin: Writable | undefined
  readonly stdout: Readable
  /** When it has ended, and nobody writes to its standard error any more. Never rejects. */
  readonly ended: Promise<ProcessEnd>
}

/** How a process ended. */
export type ProcessEnd = {
  /** `undefined`: exit status 0. Otherwise what went wrong, in words. */
  readonly failure: string | undefined
  /** `null` where a signal ended it, or it could not be started. */
  readonly exitStatus: number | null
  /** Whether a signal ended it, so that its output may stop anywhere. */
  readonly killed: boolean
  /** The end of what it wrote to standard error. */
  readonly stderr: string
}

/** Starts git. Never rejects: what can't be started ends at once. */
export type StartGit = (command: GitCommand) => Promise<GitProcess>
