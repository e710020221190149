import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { GitCommand, GitProcess, ProcessEnd, StartGit } from './git-process.js'
import { killGroup, startDirectly } from './git-process.js'

/** A request to the helper to start a git process. */
export type SpawnRequest = Omit<GitCommand, 'reads'> & {
  readonly id: number
  /** The keys of the connections for git's output and input. */
  readonly output: string
  readonly input: string | undefined
}

/** What the helper reports: git has started, could not be started, or has ended. */
export type SpawnReport =
  | { readonly id: number; readonly kind: 'started'; readonly pid: number | undefined }
  | { readonly id: number; readonly kind: 'refused' }
  | { readonly id: number; readonly kind: 'ended'; readonly end: ProcessEnd }

export type SpawnHelperOptions = {
  /** The umask of git processes. @default this process's */
  readonly umask?: number | undefined
  /** Time for the helper to start git. One that takes longer hangs, and is killed. @default 10 s */
  readonly startTimeoutMs?: number
  /** Called when the helper has exited unexpectedly. The next git process launches another. */
  readonly onLost: (error: Error) => void
}

/** The bytes of a connection's key, which are the first that it sends. */
const KEY_BYTES = 16

const PROGRAM = join(import.meta.dirname, 'spawn-helper-process.js')
// It keeps the ends of standard errors only, and a small process forks quickly.
const MEMORY_FLAGS = ['--max-old-space-size=64', '--max-semi-space-size=1']
const RESTART_INTERVAL_MS = 1_000
// A git without its connections ends immediately. Its end may be reported before connections that are on their way.
const ACCEPT_TIMEOUT_MS = 1_000
// On a busy machine, 200 processes that start at once take 1.2 s (measured).
const START_TIMEOUT_MS = 10_000
// Counted in ticks, because a gate that was suspended together with its helper sees one tick, however long that was.
const START_TIMEOUT_TICKS = 10
const HELPER_LOST: ProcessEnd = {
  failure: 'the git spawn helper exited',
  exitStatus: null,
  killed: true,
  stderr: '',
}

/** A git process that is being started, or runs. */
type PendingSpawn = {
  readonly started: (pid: number | undefined) => void
  readonly refused: () => void
  readonly ended: (end: ProcessEnd) => void
  pid: number | undefined
}

/**
 * Starts git through a small helper process. Forking the gate itself blocks its event loop, and so every request, for 10 to 30 ms;
 * a message to the helper takes 0.1 ms (measured). Git's bytes come over Unix sockets, whose other ends only git holds. While no
 * helper runs, the gate starts git itself.
 */
export class GitSpawnHelper {
  readonly #sockets: AuthenticatedSockets
  readonly #options: SpawnHelperOptions
  readonly #spawns = new Map<number, PendingSpawn>()
  #helper: ChildProcess | undefined
  #launchedAt = Number.NEGATIVE_INFINITY
  #count = 0
  #isClosed = false

  private constructor(sockets: AuthenticatedSockets, options: SpawnHelperOptions) {
    this.#sockets = sockets
    this.#options = options
    this.#launch()
  }

  /** Opens the sockets and launches the helper. */
  static async open(options: SpawnHelperOptions): Promise<GitSpawnHelper> {
    return new GitSpawnHelper(await AuthenticatedSockets.open(), options)
  }

  /** The process ID of the helper, if it runs. */
  get pid(): number | undefined {
    return this.#helper?.pid
  }

  /** As {@link StartGit}. */
  readonly start: StartGit = async (command) => {
    const helper = this.#helper ?? this.#launch()
    const git = helper === undefined ? undefined : await this.#spawn(helper, command)
    return git ?? (await startDirectly(command, this.#options.umask))
  }

  /** Ends the helper, and within a second all git processes that it has started. */
  close(): void {
    this.#isClosed = true
    if (this.#helper?.connected === true) this.#helper.disconnect()
    this.#sockets.close()
  }

  #launch(): ChildProcess | undefined {
    if (this.#isClosed || performance.now() - this.#launchedAt < RESTART_INTERVAL_MS) return undefined
    this.#launchedAt = performance.now()
    // The helper needs no variable of the gate: git's environment comes with each request.
    const { umask } = this.#options
    const args = [this.#sockets.path, ...(umask === undefined ? [] : [String(umask)])]
    const launched = fork(PROGRAM, args, { env: {}, execArgv: MEMORY_FLAGS })
    launched.on('message', (report: SpawnReport) => this.#onReport(report))
    launched.on('error', (error) => this.#lose(launched, error))
    launched.on('exit', (code, signal) => this.#lose(launched, new Error(`it ended with ${signal ?? code ?? '?'}`)))
    this.#helper = launched
    return launched
  }

  /** @returns `undefined` if git was not started */
  async #spawn(helper: ChildProcess, { program, args, env, reads }: GitCommand): Promise<GitProcess | undefined> {
    const id = (this.#count += 1)
    const output = this.#sockets.expect()
    const input = reads ? this.#sockets.expect() : undefined
    let ended: Promise<ProcessEnd> | undefined
    const starting = new Promise<{ pid: number | undefined } | undefined>((resolve) => {
      ended = new Promise((end) => {
        this.#spawns.set(id, {
          pid: undefined,
          started: (pid) => resolve({ pid }),
          refused: () => resolve(undefined),
          ended: end,
        })
      })
    })
    const watchdog = this.#killIfHung(helper)
    helper.send({ id, program, args, env, output: output.key, input: input?.key } satisfies SpawnRequest)
    const started = await starting
    clearInterval(watchdog)
    if (started === undefined || ended === undefined) {
      // A helper that was killed may have started git without a report. That git ends when its connections are closed.
      output.refuse()
      input?.refuse()
      return undefined
    }
    // The helper has connected both before it started git. But without a free descriptor, the gate can't accept them.
    const accepted = Promise.all([output.socket, input?.socket])
    const lost = ended.then(() => delay(ACCEPT_TIMEOUT_MS, undefined, { ref: false }))
    const sockets = await Promise.race([accepted, lost])
    if (sockets === undefined) {
      output.refuse()
      input?.refuse()
      return undefined
    }
    const [stdout, stdin] = sockets
    // Git sends nothing on its standard input, but only a socket that is read notices that git has closed it.
    stdin?.resume()
    return { pid: started.pid, stdin, stdout, ended }
  }

  /** Kills a helper that doesn't report in time. Its exit is then handled as any other. */
  #killIfHung(helper: ChildProcess): NodeJS.Timeout {
    const { startTimeoutMs = START_TIMEOUT_MS } = this.#options
    let ticks = 0
    return setInterval(() => {
      ticks += 1
      if (ticks === START_TIMEOUT_TICKS) helper.kill('SIGKILL')
    }, startTimeoutMs / START_TIMEOUT_TICKS)
  }

  #onReport(report: SpawnReport): void {
    const pending = this.#spawns.get(report.id)
    if (pending === undefined) return
    switch (report.kind) {
      case 'started':
        pending.pid = report.pid
        pending.started(report.pid)
        break
      case 'refused':
        this.#spawns.delete(report.id)
        pending.refused()
        break
      case 'ended':
        this.#spawns.delete(report.id)
        pending.ended(report.end)
    }
  }

  /** Kills what the helper has started, since nobody would learn how it ends. */
  #lose(lost: ChildProcess, error: Error): void {
    if (this.#helper !== lost) return
    this.#helper = undefined
    const spawns = [...this.#spawns.values()]
    this.#spawns.clear()
    for (const { pid, refused, ended } of spawns) {
      refused()
      void killGroup(pid).then(() => ended(HELPER_LOST))
    }
    if (!this.#isClosed) this.#options.onLost(error)
  }
}

/** A connection that the helper is going to make. */
type ExpectedConnection = {
  /** In base64. The connection begins with its bytes. */
  readonly key: string
  readonly socket: Promise<Socket>
  /** Refuses it, and closes it if it was already made. */
  readonly refuse: () => void
}

const SOCKET_FOLDER_PREFIX = 'gitgate-'
// A socket's path has 107 bytes at most; mkdtemp's six letters and the socket's name follow this.
const MAX_PREFIX_BYTES = 90

/**
 * A Unix socket on which each connection authenticates itself by a random key that was handed out for it. Only the gate's user can
 * open its folder, and a connection with an unknown key is closed.
 */
class AuthenticatedSockets {
  readonly #folder: string
  readonly #server: Server
  readonly #expected = new Map<string, (socket: Socket) => void>()

  private constructor(folder: string, server: Server) {
    this.#folder = folder
    this.#server = server
    server.on('connection', (socket) => this.#authenticate(socket))
  }

  static async open(): Promise<AuthenticatedSockets> {
    const prefix = join(tmpdir(), SOCKET_FOLDER_PREFIX)
    const isLong = Buffer.byteLength(prefix) > MAX_PREFIX_BYTES
    const folder = mkdtempSync(isLong ? `/tmp/${SOCKET_FOLDER_PREFIX}` : prefix)
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(join(folder, 'git'), resolve)
    })
    return new AuthenticatedSockets(folder, server)
  }

  get path(): string {
    return join(this.#folder, 'git')
  }

  expect(): ExpectedConnection {
    const key = randomBytes(KEY_BYTES).toString('base64')
    const socket = new Promise<Socket>((resolve) => this.#expected.set(key, resolve))
    const refuse = (): void => {
      this.#expected.delete(key)
      void socket.then((made) => made.destroy())
    }
    return { key, socket, refuse }
  }

  /** Accepts no more connections. Existing ones stay open. */
  close(): void {
    this.#server.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #authenticate(socket: Socket): void {
    // Whoever uses the socket sees its end.
    socket.on('error', () => undefined)
    // There is no timeout: after a machine has slept, it would close connections whose key is already here, unread.
    const read = (): void => {
      const bytes = socket.read(KEY_BYTES) as Buffer | null
      // It has ended, or the rest of the key is still to come.
      if (bytes?.length !== KEY_BYTES) return
      socket.off('readable', read)
      const key = bytes.toString('base64')
      const accept = this.#expected.get(key)
      this.#expected.delete(key)
      if (accept === undefined) socket.destroy()
      else accept(socket)
    }
    socket.on('readable', read)
  }
}
