import type { Worker } from 'node:cluster'
import cluster from 'node:cluster'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../server/log.js'
import type { ClusterCoordinator, Member } from './cluster-coordinator.js'
import type { FromWorker, WorkerInfo } from './messages.js'

/** What workers are started with. */
export type Starting = {
  readonly count: number
  /** Beside this process's own environment. */
  readonly variables: Readonly<Record<string, string>>
  /** The gate's name in `Via`. */
  readonly pseudonym: string
  /** Milliseconds after which a worker that was asked to end is killed. */
  readonly endsWithin: number
}

/** That a worker listens. */
export type Listening = FromWorker & { readonly kind: 'listening' }

/** Why a worker does not. */
export type Failed = FromWorker & { readonly kind: 'failed' }

const PREFIX = 'gitgate-'
// A socket's path has 107 bytes at most.
const LONGEST_PREFIX = 90
// A worker that ends at once, again and again, must not keep the machine busy.
const FIRST_DELAY = 100
const LONGEST_DELAY = 30_000
const LIVED_WELL = 10_000

/** Starts workers, and another where one has ended. */
export class Supervisor {
  readonly #coordinator: ClusterCoordinator
  readonly #log: Logger
  readonly #starting: Starting
  readonly #folder: string
  readonly #workers = new Set<Worker>()
  readonly #delays = new Map<number, number>()
  #isEnding = false
  #onGone: (() => void) | undefined

  constructor(coordinator: ClusterCoordinator, log: Logger, starting: Starting) {
    this.#coordinator = coordinator
    this.#log = log
    this.#starting = starting
    const wanted = join(tmpdir(), PREFIX)
    this.#folder = mkdtempSync(Buffer.byteLength(wanted) > LONGEST_PREFIX ? `/tmp/${PREFIX}` : wanted)
    cluster.setupPrimary({ args: ['serve'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  }

  /** Starts all workers. @returns what the first says, as soon as all listen; or why one does not */
  async start(): Promise<Listening | Failed> {
    // The first brings up what the others find.
    const first = await this.#fork(0)
    if (first.kind === 'failed') return first
    const others = Array.from({ length: this.#starting.count - 1 }, (_, i) => this.#fork(i + 1))
    return (await Promise.all(others)).find(({ kind }) => kind === 'failed') ?? first
  }

  /** Has all workers end, as they would by themselves. */
  async end(): Promise<void> {
    this.#isEnding = true
    const gone = new Promise<void>((resolve) => (this.#onGone = resolve))
    for (const worker of this.#workers) worker.process.kill('SIGTERM')
    const timer = setTimeout(() => {
      for (const worker of this.#workers) worker.process.kill('SIGKILL')
    }, this.#starting.endsWithin)
    if (this.#workers.size > 0) await gone
    clearTimeout(timer)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #fork(index: number): Promise<Listening | Failed> {
    const { count, variables, pseudonym } = this.#starting
    const info: WorkerInfo = { index, count, folder: this.#folder, pseudonym }
    const worker = cluster.fork(variables)
    const member: Member = {
      info,
      send(message) {
        // One that has just ended hears nothing more.
        if (worker.isConnected()) worker.send(message, () => undefined)
      },
    }
    const started = performance.now()
    this.#workers.add(worker)
    this.#coordinator.add(member)
    worker.on('error', (error) => this.#log.error({ err: error, worker: index }, 'sending to a worker failed'))
    return await new Promise((resolve) => {
      let listens = false
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'listening' || message.kind === 'failed') resolve(message)
        if (message.kind === 'listening') listens = true
        this.#coordinator.onMessage(member, message)
      })
      worker.on('exit', (code, signal) => {
        this.#workers.delete(worker)
        this.#coordinator.remove(member)
        const ended = signal || `exit status ${code}`
        resolve({ kind: 'failed', code: 'listen', message: `a worker could not start: ${ended}` })
        if (this.#isEnding) this.#goneIfAll()
        else if (listens || this.#delays.has(index)) this.#replace(index, worker, ended, performance.now() - started)
      })
    })
  }

  #replace(index: number, { process: { pid } }: Worker, ended: string, lived: number): void {
    const before = lived < LIVED_WELL ? this.#delays.get(index) : undefined
    const delay = before === undefined ? FIRST_DELAY : Math.min(before * 2, LONGEST_DELAY)
    this.#delays.set(index, delay)
    this.#log.error({ worker: index, pid, ended, again_in_ms: delay }, 'worker exited; starting another')
    setTimeout(() => {
      if (!this.#isEnding) void this.#fork(index)
    }, delay).unref()
  }

  #goneIfAll(): void {
    if (this.#workers.size === 0) this.#onGone?.()
  }
}
