import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { GitCommand, GitProcess, ProcessEnd, StartGit } from './git-process.js'
import { GreetedSockets } from './greeted-sockets.js'
import { killGroup } from './process-group.js'
import { startHere } from './start-here.js'

/** What the process that starts git is told. */
export type StartOrder = Omit<GitCommand, 'reads'> & {
  readonly id: number
  /** The words by which the connections for git's output and input begin. */
  readonly output: string
  readonly input: string | undefined
}

/** What it tells: a git has begun; it is not going to; it has ended. */
export type StartReport =
  | { readonly id: number; readonly kind: 'begun'; readonly pid: number | undefined }
  | { readonly id: number; readonly kind: 'refused' }
  | { readonly id: number; readonly kind: 'ended'; readonly end: ProcessEnd }

const PROGRAM = join(import.meta.dirname, 'starter-process.js')
// It keeps the ends of standard errors and no more, and what is small forks fast.
const SMALL = ['--max-old-space-size=64', '--max-semi-space-size=1']
const REST = 1_000
const LOST: ProcessEnd = { failure: 'what starts git has ended', exitStatus: null, killed: true, stderr: '' }

/** A git that is being started, or runs. */
type Order = {
  /** With its process; without one where none was started. */
  readonly begun: (pid: number | undefined) => void
  readonly refused: () => void
  readonly ended: (end: ProcessEnd) => void
  pid: number | undefined
}

/**
 * Starts git by way of a small process: to fork the gate itself would hold up its event loop, and with it everybody, for 10 to
 * 30 ms each time; so it is 0.1 ms (measured). Git's bytes come over sockets, whose other ends git holds itself. While there is no
 * such process, git is started from here.
 */
export class Starter {
  readonly #sockets: GreetedSockets
  readonly #onLost: (error: Error) => void
  readonly #orders = new Map<number, Order>()
  #process: ChildProcess | undefined
  #launchedAt = Number.NEGATIVE_INFINITY
  #count = 0
  #isClosed = false

  private constructor(sockets: GreetedSockets, onLost: (error: Error) => void) {
    this.#sockets = sockets
    this.#onLost = onLost
    this.#launch()
  }

  /**
   * Opens the sockets, and starts the process.
   *
   * @param onLost told when the process has ended by itself; the next git begins another
   */
  static async open(onLost: (error: Error) => void): Promise<Starter> {
    return new Starter(await GreetedSockets.open(), onLost)
  }

  /** The process, if there is one now. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** As {@link StartGit}. */
  readonly start: StartGit = async (command) => {
    const by = this.#process ?? this.#launch()
    return (by === undefined ? undefined : await this.#order(by, command)) ?? (await startHere(command))
  }

  /** Ends the process, and within a second what it has started. */
  close(): void {
    this.#isClosed = true
    if (this.#process?.connected === true) this.#process.disconnect()
    this.#sockets.close()
  }

  #launch(): ChildProcess | undefined {
    if (this.#isClosed || performance.now() - this.#launchedAt < REST) return undefined
    this.#launchedAt = performance.now()
    // Nothing of our environment is its business: git's own comes with each order.
    const launched = fork(PROGRAM, [this.#sockets.path], { env: {}, execArgv: SMALL })
    launched.on('message', (report: StartReport) => this.#hear(report))
    launched.on('error', (error) => this.#lose(launched, error))
    launched.on('exit', (code, signal) => this.#lose(launched, new Error(`it ended with ${signal ?? code ?? '?'}`)))
    this.#process = launched
    return launched
  }

  /** @returns `undefined` where nothing was started */
  async #order(by: ChildProcess, { program, args, env, reads }: GitCommand): Promise<GitProcess | undefined> {
    const id = (this.#count += 1)
    const output = this.#sockets.expect()
    const input = reads ? this.#sockets.expect() : undefined
    let ended: Promise<ProcessEnd> | undefined
    const begun = new Promise<{ pid: number | undefined } | undefined>((resolve) => {
      ended = new Promise((end) => {
        this.#orders.set(id, {
          pid: undefined,
          begun: (pid) => resolve({ pid }),
          refused: () => resolve(undefined),
          ended: end,
        })
      })
    })
    by.send({ id, program, args, env, output: output.word, input: input?.word } satisfies StartOrder)
    const started = await begun
    if (started === undefined || ended === undefined) {
      output.forget()
      input?.forget()
      return undefined
    }
    // They were made before it began.
    const [stdout, stdin] = await Promise.all([output.socket, input?.socket])
    // Nothing is said there; read, it tells that git has closed it.
    stdin?.resume()
    return { pid: started.pid, stdin, stdout, ended }
  }

  #hear(report: StartReport): void {
    const order = this.#orders.get(report.id)
    if (order === undefined) return
    switch (report.kind) {
      case 'begun':
        order.pid = report.pid
        order.begun(report.pid)
        break
      case 'refused':
        this.#orders.delete(report.id)
        order.refused()
        break
      case 'ended':
        this.#orders.delete(report.id)
        order.ended(report.end)
    }
  }

  /** What has begun is ended: how it ends would be known to nobody. */
  #lose(lost: ChildProcess, error: Error): void {
    if (this.#process !== lost) return
    this.#process = undefined
    const orders = [...this.#orders.values()]
    this.#orders.clear()
    for (const { pid, refused, ended } of orders) {
      refused()
      void killGroup(pid).then(() => ended(LOST))
    }
    if (!this.#isClosed) this.#onLost(error)
  }
}
