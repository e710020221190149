import type { Worker } from 'node:cluster'
import cluster from 'node:cluster'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withUmask } from '../core/umask.js'
import type { Logger } from '../server/log.js'
import type { ClusterCoordinator, Member } from './cluster-coordinator.js'
import type { FromWorker, WorkerInfo } from './messages.js'

/** What workers are started with. */
export type SupervisorOptions = {
  readonly count: number
  /** Environment variables beside those of this process. */
  readonly variables: Readonly<Record<string, string>>
  /** The gate's name in `Via`. */
  readonly pseudonym: string
  /** The umask that workers are started with, before they tighten their own. @default this process's */
  readonly umask: number | undefined
  /** A worker that is still running this long after SIGTERM is killed. */
  readonly shutdownTimeoutMs: number
  /** Between two heartbeats of a worker. */
  readonly heartbeatMs: number
}

/** A worker listens. */
export type Listening = FromWorker & { readonly kind: 'listening' }

/** A worker can't listen, and why. */
export type Failed = FromWorker & { readonly kind: 'failed' }

const FOLDER_PREFIX = 'gitgate-'
// The path of a socket has at most 107 bytes.
const MAX_FOLDER_PREFIX_BYTES = 90
// A worker that keeps exiting at its start must not keep the machine busy.
const MIN_RESTART_DELAY_MS = 100
const MAX_RESTART_DELAY_MS = 30_000
// The delay starts over after a worker that ran this long.
const HEALTHY_UPTIME_MS = 10_000
const MAX_MISSED_HEARTBEATS = 3

/** Starts workers, and replaces those that exit or hang. */
export class Supervisor {
  readonly #coordinator: ClusterCoordinator
  readonly #log: Logger
  readonly #options: SupervisorOptions
  readonly #folder: string
  readonly #workers = new Set<Worker>()
  readonly #restartDelays = new Map<number, number>()
  /** While no worker runs, only these keep the primary alive. */
  readonly #restarts = new Set<NodeJS.Timeout>()
  #isEnding = false
  #onAllExited: (() => void) | undefined

  constructor(coordinator: ClusterCoordinator, log: Logger, options: SupervisorOptions) {
    this.#coordinator = coordinator
    this.#log = log
    this.#options = options
    const prefix = join(tmpdir(), FOLDER_PREFIX)
    const isTooLong = Buffer.byteLength(prefix) > MAX_FOLDER_PREFIX_BYTES
    this.#folder = mkdtempSync(isTooLong ? `/tmp/${FOLDER_PREFIX}` : prefix)
    // Workers accept connections themselves. By default the primary accepts and passes them on. A connection that is being passed
    // to a killed worker is then never closed, and its client waits forever (Node 20.20 and 24).
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({ args: ['serve'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  }

  /** Starts all workers. @returns the first worker's message once all listen, or why one can't */
  async start(): Promise<Listening | Failed> {
    // The first one creates what the others find.
    const first = await this.#fork(0)
    if (first.kind === 'failed') return first
    const others = Array.from({ length: this.#options.count - 1 }, (_, i) => this.#fork(i + 1))
    return (await Promise.all(others)).find(({ kind }) => kind === 'failed') ?? first
  }

  /** Ends all workers, once their requests have finished. */
  async end(): Promise<void> {
    this.#isEnding = true
    for (const timer of this.#restarts) clearTimeout(timer)
    const allExited = new Promise<void>((resolve) => (this.#onAllExited = resolve))
    for (const worker of this.#workers) worker.process.kill('SIGTERM')
    const timer = setTimeout(() => {
      for (const worker of this.#workers) worker.process.kill('SIGKILL')
    }, this.#options.shutdownTimeoutMs)
    if (this.#workers.size > 0) await allExited
    clearTimeout(timer)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #fork(index: number): Promise<Listening | Failed> {
    const { count, variables, pseudonym, umask } = this.#options
    const info: WorkerInfo = { index, count, folder: this.#folder, pseudonym }
    const worker = withUmask(umask, () => cluster.fork(variables))
    const member: Member = {
      info,
      send(message) {
        // The callback takes the error of a worker that has just exited.
        if (worker.isConnected()) worker.send(message, () => undefined)
      },
    }
    const startedAt = performance.now()
    this.#workers.add(worker)
    this.#coordinator.add(member)
    worker.on('error', (error) => this.#log.error({ err: error, worker: index }, 'sending to a worker failed'))
    return await new Promise((resolve) => {
      let isListening = false
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'listening' || message.kind === 'failed') resolve(message)
        if (message.kind === 'listening') {
          isListening = true
          this.#watch(worker, member)
        }
        this.#coordinator.onMessage(member, message)
      })
      worker.on('exit', (code, signal) => {
        this.#workers.delete(worker)
        this.#coordinator.remove(member)
        const reason = signal || `exit status ${code}`
        resolve({ kind: 'failed', code: 'listen', message: `a worker could not start: ${reason}` })
        if (this.#isEnding) {
          if (this.#workers.size === 0) this.#onAllExited?.()
        } else if (isListening || this.#restartDelays.has(index)) {
          this.#replace(index, worker, reason, performance.now() - startedAt)
        }
      })
    })
  }

  /** Kills a worker that hangs. It counts heartbeats, not time: a primary that was suspended itself must kill nobody. */
  #watch(worker: Worker, { info, send }: Member): void {
    let missed = 0
    const timer = setInterval(() => {
      if (missed === MAX_MISSED_HEARTBEATS) {
        const { pid } = worker.process
        this.#log.error({ worker: info.index, pid, missed_heartbeats: missed }, 'worker does not respond; killing it')
        clearInterval(timer)
        worker.process.kill('SIGKILL')
        return
      }
      missed += 1
      send({ kind: 'heartbeat' })
    }, this.#options.heartbeatMs).unref()
    worker.on('message', () => (missed = 0))
    worker.on('exit', () => clearInterval(timer))
  }

  #replace(index: number, { process: { pid } }: Worker, reason: string, uptimeMs: number): void {
    const last = uptimeMs < HEALTHY_UPTIME_MS ? this.#restartDelays.get(index) : undefined
    const delay = last === undefined ? MIN_RESTART_DELAY_MS : Math.min(last * 2, MAX_RESTART_DELAY_MS)
    this.#restartDelays.set(index, delay)
    this.#log.error({ worker: index, pid, ended: reason, again_in_ms: delay }, 'worker exited; starting another')
    const timer = setTimeout(() => {
      this.#restarts.delete(timer)
      void this.#fork(index)
    }, delay)
    this.#restarts.add(timer)
  }
}
