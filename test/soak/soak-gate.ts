import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { GateProcess } from '../acceptance/gitgate-cli.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { basic, http } from '../acceptance/http-client.js'
import { childrenOf, commandOf, processesIn } from '../acceptance/transfers.js'
import { until } from '../acceptance/until.js'
import { freePort } from '../backends/backend.js'
import type { ModelToken } from './model.js'

export const REPOSITORY = 'team/app'
export const FAULTS = ['worker', 'spawn helper', 'git', 'kill gate', 'stop gate'] as const
/** Faults that the gate's own processes survive. */
export const GENTLE_FAULTS = ['spawn helper', 'git'] as const

export type Fault = (typeof FAULTS)[number]

const WORKERS = 2
const RETRY_PAUSE_MS = 20
const MAX_SHOWN_LINES = 10
const MAX_SEARCHED_CHARACTERS = 100_000

/**
 * Makes Git send a token at once. Git would first ask without one, and if the gate is killed after that, Git calls it a failed
 * authentication: it goes by the status of the last response that it got.
 */
export function sends({ owner, secret }: ModelToken): readonly string[] {
  return ['-c', `http.extraHeader=Authorization: ${basic(owner, secret)}`]
}

/** A gate of two workers on one port, which is broken now and then and started again. */
export class SoakGate {
  readonly cli: GitgateCli
  #running: GateProcess | undefined
  #port = 0
  #admin = ''

  constructor(folder: string) {
    // Full within minutes: while it fills, memory grows.
    this.cli = new GitgateCli(folder, { GITGATE_CACHE_SIZE: '64M' })
  }

  /** Creates an administrator, accounts and a repository. */
  async prepare(accounts: readonly string[]): Promise<void> {
    await this.cli.ask(['user', 'add', 'root', '--admin'])
    for (const name of accounts) await this.cli.ask(['user', 'add', name])
    await this.cli.ask(['repo', 'create', REPOSITORY])
    this.#admin = await this.cli.ask(['token', 'create', 'root', '--name', 'soak', '--scopes', 'api'])
    this.#port = await freePort()
  }

  async start(): Promise<void> {
    const owner = { teardown: () => undefined }
    const args = ['serve', '--port', String(this.#port), '--workers', String(WORKERS)]
    this.#running = await this.cli.serveProcess(owner, args)
  }

  /** @returns its exit status */
  async stop(): Promise<number | undefined> {
    return await this.#running?.stop()
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** The repository's folder. */
  get disk(): string {
    return join(this.cli.folder, 'repos', `${REPOSITORY}.git`)
  }

  /** The primary and its workers. */
  get pids(): number[] {
    const { pid } = this.#running?.child ?? {}
    return pid === undefined ? [] : [pid, ...this.#workers]
  }

  get #workers(): number[] {
    return childrenIfAlive(this.#running?.child.pid).filter((pid) => /gitgate\.js serve/.test(commandOf(pid)))
  }

  /** The last errors, warnings and refusals in its log. */
  get recentErrors(): string {
    const lines = (this.#running?.said.stderr ?? '').slice(-MAX_SEARCHED_CHARACTERS).split('\n')
    return lines
      .filter((line) => /"level":"(warn|error|fatal)"|"status":4/.test(line))
      .slice(-MAX_SHOWN_LINES)
      .join('\n')
  }

  get remote(): string {
    return `${this.url}/${REPOSITORY}.git`
  }

  /** The status of an API call; `undefined` without an answer. */
  async statusOf(path: string, secret: string): Promise<number | undefined> {
    const headers = { 'PRIVATE-TOKEN': secret }
    return (await http(this.url, `/api/v4${path}`, { headers }).catch(() => undefined))?.status
  }

  /** As an administrator, repeats a change until the gate acknowledges it. */
  async insist(
    method: string,
    path: string,
    expected: readonly number[],
    body?: object,
    use: (body: string) => void = () => undefined,
  ): Promise<void> {
    for (;;) {
      const answer = await http(this.url, `/api/v4${path}`, {
        method,
        headers: {
          'PRIVATE-TOKEN': this.#admin,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch(() => undefined)
      if (answer !== undefined && expected.includes(answer.status)) {
        use(answer.body)
        return
      }
      if (answer !== undefined && answer.status < 500)
        throw new Error(`${method} ${path} was answered with ${answer.status}: ${answer.body}`)
      await pause(RETRY_PAUSE_MS)
    }
  }

  /** Kills or restarts something, and waits until the gate is ready again. @param random chooses among several processes */
  async break(fault: Fault, random: () => number): Promise<void> {
    const anyOf = (pids: readonly number[]): number | undefined => pids[Math.floor(random() * pids.length)]
    switch (fault) {
      case 'worker':
        kill(anyOf(this.#workers))
        break
      case 'spawn helper':
        kill(anyOf(this.#workers.flatMap(childrenIfAlive)))
        break
      case 'git':
        processesIn(this.disk).forEach(kill)
        break
      case 'kill gate':
        if (this.#running?.child.kill('SIGKILL') === true) await once(this.#running.child, 'close')
        await this.start()
        break
      case 'stop gate': {
        const status = await this.stop()
        if (status !== 0) throw new Error(`after SIGTERM the gate ended with ${status ?? 'nothing'}`)
        await this.start()
      }
    }
    await until(() => this.#workers.length === WORKERS)
    await until(async () => (await http(this.url, '/-/readiness').catch(() => undefined))?.status === 200)
  }
}

function kill(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

function childrenIfAlive(pid: number | undefined): number[] {
  try {
    return childrenOf(pid)
  } catch {
    return []
  }
}
