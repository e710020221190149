import { setMaxListeners } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { GitClient } from '../acceptance/git-client.js'
import { http } from '../acceptance/http-client.js'
import { processesIn, quarantinesIn } from '../acceptance/transfers.js'
import { within } from '../acceptance/until.js'
import { Figures } from './figures.js'
import type { ModelToken, Operation, Result, Role } from './model.js'
import { Model } from './model.js'
import type { Fault } from './soak-gate.js'
import { FAULTS, GENTLE_FAULTS, REPOSITORY, SoakGate, sends } from './soak-gate.js'

const ACCOUNTS = ['alice', 'bob', 'carol', 'dave'] as const
const CLONERS = 3
const PUSHERS = 2
const API_CALLERS = 2
const MAX_TOKENS = 24
const MAX_REFS = 60
const CLIENT_PAUSE_MS = 20
const CHANGE_INTERVAL_MS = 500
// The first half has all faults. In the second, the gate's own processes live on, so that growth shows.
const FAULT_INTERVAL_MS = 10_000
const SAMPLE_INTERVAL_MS = 5_000
const PROBE_INTERVAL_MS = 100
const REPORT_INTERVAL_MS = 60_000
export type SoakReport = {
  readonly text: string
  readonly figures: object
  readonly answers: number
  readonly problems: readonly string[]
}

/** A gate of two workers, its clients, and what must be true of them. */
export class Soak {
  readonly #gate: SoakGate
  readonly #git: GitClient
  readonly #model = new Model()
  readonly #figures = new Figures()
  readonly #problems: string[] = []
  /** Refs that pushes created and nobody has deleted, with their objects. */
  readonly #refs = new Map<string, string>()
  /** Refs that are being pushed or deleted, or whose push was never acknowledged. */
  readonly #unsettledRefs = new Map<string, string>()
  readonly #stopping = new AbortController()
  #random: () => number
  #onProblem: (line: string) => void = () => undefined
  #work = ''
  #count = 0

  private constructor(folder: string, seed: number) {
    this.#gate = new SoakGate(folder)
    this.#git = new GitClient(folder, 'client')
    this.#random = generator(seed)
    // Each loop waits on it.
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Sets up accounts, a repository and a gate. */
  static async start(folder: string, seed: number): Promise<Soak> {
    const soak = new Soak(folder, seed)
    await soak.#prepare()
    return soak
  }

  async #prepare(): Promise<void> {
    await this.#gate.prepare(ACCOUNTS)
    this.#work = await this.#git.init('work')
    await this.#git.run(['push', '-q', this.#gate.disk, 'HEAD:main'], { cwd: this.#work })
    this.#refs.set('refs/heads/main', await this.#git.ask(['rev-parse', 'HEAD'], { cwd: this.#work }))
    await this.#gate.start()
    for (const name of ACCOUNTS) await this.#changeRole(name, 'write')
    for (let i = 0; i < ACCOUNTS.length; i++) await this.#createToken()
  }

  /** Runs everything for a time, then checks what is left. @param report called with a line now and then */
  async run(milliseconds: number, report: (line: string) => void): Promise<SoakReport> {
    this.#onProblem = report
    const started = performance.now()
    const elapsed = (): number => performance.now() - started
    const isGentle = (): boolean => elapsed() > milliseconds / 2
    const loops = [
      ...Array.from({ length: CLONERS }, () => this.#repeat(CLIENT_PAUSE_MS, () => this.#clone())),
      ...Array.from({ length: PUSHERS }, () => this.#repeat(CLIENT_PAUSE_MS, () => this.#push())),
      ...Array.from({ length: API_CALLERS }, () => this.#repeat(CLIENT_PAUSE_MS, () => this.#callApi())),
      this.#repeat(PROBE_INTERVAL_MS, () => this.#probe()),
      this.#repeat(CHANGE_INTERVAL_MS, () => this.#changeRights()),
      this.#repeat(FAULT_INTERVAL_MS, () => this.#fault(isGentle() ? GENTLE_FAULTS : FAULTS)),
      this.#repeat(SAMPLE_INTERVAL_MS, () => {
        this.#figures.sample(elapsed() / milliseconds, this.#gate.pids)
        return Promise.resolve()
      }),
      this.#repeat(REPORT_INTERVAL_MS, () => {
        report(`${Math.round(elapsed() / 60_000)} min: ${this.#figures.summary()}, ${this.#problems.length} wrong`)
        return Promise.resolve()
      }),
    ]
    await pause(milliseconds)
    this.#stopping.abort()
    await Promise.all(loops)
    await this.#checkEnd()
    for (const problem of this.#figures.growth()) this.#wrong(problem)
    const { answers } = this.#figures
    return { text: this.#figures.table(), figures: this.#figures.json(), answers, problems: this.#problems }
  }

  async #repeat(intervalMs: number, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await work().catch((error: unknown) =>
        this.#wrong(
          `the soak itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        ),
      )
      await pause(intervalMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #clone(): Promise<void> {
    const operation = this.#model.begin(this.#anyToken(), 'fetch')
    const [before, name] = [new Map(this.#refs), `clone-${this.#next()}`]
    const own = [...sends(operation.token), '-c', 'fetch.fsckObjects=true']
    const clone = [...own, 'clone', '-q', '--bare', this.#gate.remote, name]
    const ended = await this.#timed('clone', () => this.#git.run(clone, { status: 'any' }))
    const result = resultOf(ended)
    this.#end(operation, result, ended.stderr)
    const folder = join(this.#git.home, name)
    if (result === 'done') await this.#checkClone(folder, before)
    rmSync(folder, { recursive: true, force: true })
  }

  /** A clone has every ref that was acknowledged before it began, unless it was deleted meanwhile, and none that nobody pushed. */
  async #checkClone(folder: string, before: ReadonlyMap<string, string>): Promise<void> {
    const cloned = await this.#refsIn(folder)
    for (const [ref, oid] of before) {
      const isSettled = this.#refs.get(ref) === oid && !this.#unsettledRefs.has(ref)
      if (isSettled && cloned.get(ref) !== oid) this.#wrong(`a clone lacks ${ref}, which was pushed before it`)
    }
    for (const [ref, oid] of cloned) {
      const known = [this.#refs.get(ref), this.#unsettledRefs.get(ref), before.get(ref)]
      if (!known.includes(oid)) this.#wrong(`a clone has ${ref} at ${oid}, which nobody pushed`)
    }
  }

  async #push(): Promise<void> {
    const operation = this.#model.begin(this.#anyToken(), 'push')
    const oldest = [...this.#refs.keys()].find((ref) => ref !== 'refs/heads/main' && !this.#unsettledRefs.has(ref))
    const isDeletion = this.#refs.size > MAX_REFS && oldest !== undefined
    const ref = isDeletion ? oldest : `refs/heads/soak-${this.#next()}`
    const tree = ['commit-tree', 'HEAD^{tree}', '-p', 'HEAD', '-m', ref]
    const oid = isDeletion ? (this.#refs.get(ref) ?? '') : await this.#git.ask(tree, { cwd: this.#work })
    this.#unsettledRefs.set(ref, oid)
    const refspec = isDeletion ? `:${ref}` : `${oid}:${ref}`
    const push = [...sends(operation.token), 'push', '-q', this.#gate.remote, refspec]
    const ended = await this.#timed('push', () => this.#git.run(push, { cwd: this.#work, status: 'any' }))
    const result = resultOf(ended)
    this.#end(operation, result, ended.stderr)
    if (result === 'unavailable' || (result === 'refused' && operation.wasAllowed)) {
      // It may have landed or not: a push can lose its right after git has moved the ref.
      this.#refs.delete(ref)
      return
    }
    this.#unsettledRefs.delete(ref)
    if (result !== 'done') return
    if (isDeletion) {
      this.#refs.delete(ref)
      // Clones that run may still have it.
      this.#unsettledRefs.set(ref, oid)
    } else this.#refs.set(ref, oid)
  }

  async #callApi(): Promise<void> {
    const operation = this.#model.begin(this.#anyToken(), 'api')
    const answer = await this.#timed('API call', () =>
      this.#gate.statusOf('/personal_access_tokens/self', operation.token.secret),
    )
    const text = `status ${answer ?? 'none'}`
    this.#end(operation, answer === 200 ? 'done' : answer === 401 || answer === 403 ? 'refused' : 'unavailable', text)
  }

  /** A small request whose time shows how quickly the gate answers others. */
  async #probe(): Promise<void> {
    await this.#timed('health', () => http(this.#gate.url, '/-/health').catch(() => undefined))
  }

  async #changeRights(): Promise<void> {
    const kind = this.#pick(['role', 'role', 'block', 'revoke', 'revoke', 'create'] as const)
    const account = this.#pick(ACCOUNTS)
    if (kind === 'role') await this.#changeRole(account, this.#pick(['none', 'read', 'write', 'write'] as const))
    else if (kind === 'block') {
      await this.#block(account, true)
      await pause(CHANGE_INTERVAL_MS)
      await this.#block(account, false)
    } else if (kind === 'revoke') await this.#revoke(this.#anyToken())
    else await this.#createToken()
  }

  async #changeRole(account: string, role: Role): Promise<void> {
    const { roles } = this.#model
    const before = roles.get(account) ?? 'none'
    const query = `subject=${account}&pattern=${encodeURIComponent(REPOSITORY)}`
    await this.#model.change(
      () => roles.set(account, role),
      () => roles.set(account, before),
      () =>
        role === 'none'
          ? this.#gate.insist('DELETE', `/gitgate/grants?${query}`, [204, 404])
          : this.#gate.insist('POST', '/gitgate/grants', [201], { subject: account, role, pattern: REPOSITORY }),
    )
  }

  async #block(account: string, isBlocked: boolean): Promise<void> {
    const id = 2 + ACCOUNTS.indexOf(account as (typeof ACCOUNTS)[number])
    const { blocked } = this.#model
    const set = (is: boolean) => () => (is ? blocked.add(account) : blocked.delete(account))
    await this.#model.change(set(isBlocked), set(!isBlocked), () =>
      this.#gate.insist('POST', `/users/${id}/${isBlocked ? 'block' : 'unblock'}`, [201, 403]),
    )
  }

  async #revoke(token: ModelToken): Promise<void> {
    const before = token.isRevoked
    await this.#model.change(
      () => void (token.isRevoked = true),
      () => void (token.isRevoked = before),
      () => this.#gate.insist('DELETE', `/personal_access_tokens/${token.id}`, [204, 400, 404]),
    )
  }

  async #createToken(): Promise<void> {
    const owner = this.#pick(ACCOUNTS)
    const mayPush = this.#random() < 0.7
    const scopes = [mayPush ? 'write_repository' : 'read_repository', 'read_api']
    const id = 2 + ACCOUNTS.indexOf(owner)
    let made: { id: number; token: string } | undefined
    await this.#gate.insist('POST', `/users/${id}/personal_access_tokens`, [201], { name: 'soak', scopes }, (body) => {
      made = JSON.parse(body) as { id: number; token: string }
    })
    if (made === undefined) return
    const { tokens } = this.#model
    tokens.push({ id: made.id, secret: made.token, owner, mayPush, isRevoked: false })
    if (tokens.length > MAX_TOKENS) tokens.shift()
  }

  async #fault(faults: readonly Fault[]): Promise<void> {
    const fault = this.#pick(faults)
    this.#figures.fault(fault)
    this.#model.isFaulty = true
    await this.#gate.break(fault, this.#random)
    // Requests that began before the fault was over may still meet its end.
    await pause(CHANGE_INTERVAL_MS)
    this.#model.isFaulty = false
  }

  async #checkEnd(): Promise<void> {
    const wrong = (text: string): void => this.#wrong(text)
    const bare = ['-c', 'safe.directory=*', '--git-dir', this.#gate.disk]
    const refs = await this.#refsIn(this.#gate.disk)
    for (const [ref, oid] of this.#refs) if (refs.get(ref) !== oid) wrong(`${ref} was acknowledged and is lost`)
    for (const [ref, oid] of refs)
      if (![this.#refs.get(ref), this.#unsettledRefs.get(ref)].includes(oid)) wrong(`${ref} is at ${oid}`)
    const fsck = await this.#git.run([...bare, 'fsck', '--full', '--strict'], { status: 'any' })
    if (fsck.status !== 0) wrong(`git fsck: ${fsck.stderr}`)
    if (!(await within(2_000, () => processesIn(this.#gate.disk).length === 0)))
      wrong('a process is left in the repository')
    if ((await this.#gate.stop()) !== 0) wrong('the gate did not end with status 0')
    await this.#gate.start()
    if (quarantinesIn(this.#gate.disk).length > 0) wrong('a quarantine is left')
    await this.#gate.stop()
    const verified = await this.#gate.cli.run(['audit', 'verify'])
    if (verified.status !== 0) wrong(`audit verify: ${verified.stdout}${verified.stderr}`)
  }

  #end(operation: Operation, result: Result, said: string): void {
    const problem = this.#model.end(operation, result)
    this.#figures.answer(operation.kind, result)
    if (problem !== undefined) this.#wrong(`${problem}: ${said}`)
  }

  #wrong(problem: string): void {
    this.#problems.push(problem)
    this.#onProblem(`${new Date().toISOString()} WRONG: ${problem}`)
    this.#onProblem(this.#gate.recentErrors)
  }

  async #timed<T>(kind: string, work: () => Promise<T>): Promise<T> {
    const begun = performance.now()
    const result = await work()
    this.#figures.time(kind, performance.now() - begun)
    return result
  }

  async #refsIn(folder: string): Promise<Map<string, string>> {
    const command = ['-c', 'safe.directory=*', '--git-dir', folder, 'for-each-ref', '--format=%(refname) %(objectname)']
    const lines = (await this.#git.ask(command)).split('\n').filter(Boolean)
    return new Map(lines.map((line) => line.split(' ') as [string, string]))
  }

  #anyToken(): ModelToken {
    return this.#pick(this.#model.tokens)
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T
  }

  #next(): number {
    return (this.#count += 1)
  }
}

function resultOf({ status, stderr }: { readonly status: number; readonly stderr: string }): Result {
  if (status === 0) return 'done'
  // A git that was killed makes the gate refuse the ref in its report, since nobody knows what became of it.
  if (/the Git server failed|unpacker error|failed to report status/.test(stderr)) return 'unavailable'
  const isRefused =
    /could not read Username|HTTP Basic|not found|returned error: 40[134]|denied|not allowed|rejected|revoked|access has ended/i
  return isRefused.test(stderr) ? 'refused' : 'unavailable'
}

/** A generator of random numbers that a seed repeats (mulberry32). */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
