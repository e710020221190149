import { execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { cacheFolders, cloneComplete } from '../acceptance/cache-world.js'
import { GitClient } from '../acceptance/git-client.js'
import type { GateProcess } from '../acceptance/gitgate-cli.js'
import { GitgateCli } from '../acceptance/gitgate-cli.js'
import { basic, http } from '../acceptance/http-client.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import type { LargeCommit, TransferTarget } from '../acceptance/transfers.js'
import { childrenOf, commandOf, largeCommit, quarantinesIn, processesIn } from '../acceptance/transfers.js'
import { until, within } from '../acceptance/until.js'
import { freePort } from '../backends/backend.js'

export type FaultOptions = {
  /** Flags of `serve`. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Size of the commit that clones receive. @default 4 */
  readonly mebibytes?: number
  /** Whether the repository is behind an upstream, itself a gate with an embedded server. */
  readonly upstream?: boolean
  /** Called with the data folder before the gate starts. */
  readonly beforeStart?: (data: string) => void
}

/** Clients at work while faults happen. */
export type Load = { stop(): Promise<void> }

const REPOSITORY = 'team/app'
// Idle connections, and files that are open between two requests.
const SPARE_DESCRIPTORS = 16
// A client that is refused tries again, as CI does.
const RETRY_PAUSE_MS = 50

/**
 * A gate in a process of its own, and a record of everything that its clients were told had succeeded. Whatever happens to its
 * processes and disks, {@link check} must find all of that, and nothing half done.
 */
export class FaultWorld {
  readonly cli: GitgateCli
  readonly git: GitClient
  /** The process of the Git server behind the gate, if there is one. */
  behind: GateProcess | undefined
  readonly #t: Test
  readonly #flags: readonly string[]
  readonly #cliBehind: GitgateCli | undefined
  readonly #acknowledgedRefs = new Map<string, string>()
  readonly #unacknowledgedRefs = new Map<string, string>()
  readonly #acknowledgedTokens = new Set<string>()
  #running: GateProcess | undefined
  #large: LargeCommit | undefined
  #secret = ''
  #admin = ''
  #port = 0
  #behindPort = 0
  #count = 0
  #attempts = 0
  #spawnHelperCount = 0

  private constructor(t: Test, { flags = [], env = {}, upstream = false }: FaultOptions) {
    this.#t = t
    this.#flags = flags
    const folder = temporaryFolder(t)
    const authorization = join(folder, 'upstream-authorization')
    if (upstream) writeFileSync(authorization, 'none\n')
    this.cli = new GitgateCli(folder, {
      ...env,
      ...(upstream ? { GITGATE_UPSTREAM_AUTHORIZATION_FILE: authorization } : {}),
    })
    this.git = new GitClient(folder, 'client')
    if (upstream) this.#cliBehind = new GitgateCli(temporaryFolder(t), env)
  }

  /** Sets up accounts and a repository, and starts the gate. */
  static async start(t: Test, options: FaultOptions = {}): Promise<FaultWorld> {
    const world = new FaultWorld(t, options)
    await world.#prepare(options.mebibytes ?? 4)
    options.beforeStart?.(world.data)
    await world.startGate()
    world.#spawnHelperCount = world.spawnHelpers.length
    return world
  }

  /** The gate that runs now. */
  get gate(): GateProcess {
    if (this.#running === undefined) throw new TypeError('no gate was started')
    return this.#running
  }

  /** The repository's folder on disk. */
  get disk(): string {
    const { env, folder } = this.#cliBehind ?? this.cli
    return join(env['GITGATE_REPOS'] ?? join(folder, 'repos'), `${REPOSITORY}.git`)
  }

  get data(): string {
    return this.cli.env['GITGATE_DATA'] ?? join(this.cli.folder, 'data')
  }

  /** Where raw requests go. */
  get place(): TransferTarget {
    return { url: this.gate.url, path: REPOSITORY, password: this.#secret }
  }

  get remote(): string {
    return `${this.gate.url.replace('//', `//alice:${this.#secret}@`)}/${REPOSITORY}.git`
  }

  /** The commit that clones receive. */
  get large(): LargeCommit {
    if (this.#large === undefined) throw new TypeError('the world was not prepared')
    return this.#large
  }

  /** The workers of a gate that has some. */
  get workers(): number[] {
    return childrenOf(this.gate.child.pid).filter((pid) => /gitgate\.js serve/.test(commandOf(pid)))
  }

  /** What starts git for the gate or for its workers. */
  get spawnHelpers(): number[] {
    const parents = this.workers.length > 0 ? this.workers : [this.gate.child.pid ?? 0]
    return parents.flatMap((pid) => childrenOf(pid))
  }

  /** Starts the gate, as a supervisor would after its end. */
  async startGate(): Promise<void> {
    const upstream = this.#behindPort === 0 ? [] : ['--upstream', `http://127.0.0.1:${this.#behindPort}`]
    const port = String(this.#port)
    this.#running = await this.cli.serveProcess(this.#t, ['serve', '--port', port, ...this.#flags, ...upstream])
  }

  /** Starts the Git server behind the gate. */
  async startBehind(): Promise<void> {
    this.behind = await this.#cliBehind?.serveProcess(this.#t, ['serve', '--port', String(this.#behindPort)])
  }

  async #prepare(mebibytes: number): Promise<void> {
    const { cli } = this
    const behind = this.#cliBehind
    for (const one of behind === undefined ? [cli] : [cli, behind]) {
      await one.ask(['user', 'add', 'alice'])
      await one.ask(['user', 'add', 'root', '--admin'])
      await one.ask(['access', 'grant', 'alice', 'write', REPOSITORY])
    }
    await (behind ?? cli).ask(['repo', 'create', REPOSITORY])
    const create = (one: GitgateCli, user: string, scopes: string) =>
      one.ask(['token', 'create', user, '--name', 'load', '--scopes', scopes])
    this.#secret = await create(cli, 'alice', 'write_repository')
    this.#admin = await create(cli, 'root', 'api')
    if (behind !== undefined) {
      this.#behindPort = await freePort()
      const secret = await create(behind, 'alice', 'write_repository')
      const authorization = cli.env['GITGATE_UPSTREAM_AUTHORIZATION_FILE'] ?? ''
      writeFileSync(authorization, `${basic('alice', secret)}\n`)
      await this.startBehind()
    }
    this.#large = await largeCommit(this.git, 'large', mebibytes)
    await this.git.run(['push', '-q', this.disk, 'main'], { cwd: this.large.folder })
    this.#acknowledgedRefs.set('refs/heads/main', this.large.oid)
    // One port for all gates, as in production.
    this.#port = await freePort()
  }

  /** Starts clients that push, clone and create tokens one after the other until they are stopped. */
  startLoad(): Load {
    const stopping = new AbortController()
    const repeat = async (work: () => Promise<boolean>): Promise<void> => {
      while (!stopping.signal.aborted) {
        if (!(await work())) await pause(RETRY_PAUSE_MS)
        this.#attempts += 1
      }
    }
    const loops = [repeat(() => this.#push()), repeat(() => this.#clone()), repeat(() => this.#createToken())]
    return {
      stop: async () => {
        stopping.abort()
        await Promise.all(loops)
      },
    }
  }

  /** Waits until clients have tried so many more times to push, clone or create a token. */
  async attempts(count: number): Promise<void> {
    const before = this.#attempts
    await until(() => this.#attempts >= before + count)
  }

  /** Notes a push that the test itself makes. */
  pushed(ref: string, oid: string, isAcknowledged: boolean): void {
    const refs = isAcknowledged ? this.#acknowledgedRefs : this.#unacknowledgedRefs
    refs.set(ref, oid)
  }

  async #push(): Promise<boolean> {
    const { folder } = this.large
    const ref = `refs/heads/load-${(this.#count += 1)}`
    const oid = await this.git.ask(['commit-tree', 'HEAD^{tree}', '-p', 'HEAD', '-m', ref], { cwd: folder })
    this.#unacknowledgedRefs.set(ref, oid)
    const push = ['push', '-q', this.remote, `${oid}:${ref}`]
    const { status } = await this.git.run(push, { cwd: folder, status: 'any' })
    if (status !== 0) return false
    this.#unacknowledgedRefs.delete(ref)
    this.#acknowledgedRefs.set(ref, oid)
    return true
  }

  async #clone(): Promise<boolean> {
    const name = `load-clone-${(this.#count += 1)}`
    // Git checks each object that arrives: a short or mixed-up pack fails the clone.
    const clone = ['-c', 'fetch.fsckObjects=true', 'clone', '-q', '--bare', '--single-branch', this.remote, name]
    const { status, stderr } = await this.git.run(clone, { status: 'any' })
    const cwd = join(this.git.home, name)
    if (status === 0) this.#t.equal(await this.git.ask(['rev-parse', 'HEAD'], { cwd }), this.large.oid)
    else this.#t.notMatch(stderr, /fsck|corrupt|bad pack|missing (blob|tree|commit)/i, 'no clone gets a damaged pack')
    execFileSync('rm', ['-rf', cwd])
    return status === 0
  }

  async #createToken(): Promise<boolean> {
    const name = `load-${(this.#count += 1)}`
    const answer = await http(this.gate.url, '/api/v4/users/1/personal_access_tokens', {
      method: 'POST',
      headers: { 'PRIVATE-TOKEN': this.#admin, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name, scopes: ['read_repository'] }),
    }).catch(() => undefined)
    if (answer?.status !== 201) return false
    this.#acknowledgedTokens.add(name)
    await pause(RETRY_PAUSE_MS)
    return true
  }

  /** Asserts that the gate serves, that nothing acknowledged is lost, and that nothing of the fault is left. */
  async check(t: Test, fault: string): Promise<void> {
    const serves = async (): Promise<boolean> =>
      (await this.git.run(['ls-remote', '-q', this.remote, 'HEAD'], { status: 'any' })).status === 0
    if (!(await within(5_000, serves)))
      throw new Error(`${fault}: the gate does not serve:\n${this.gate.said.stderr.slice(-4_000)}`)
    await cloneComplete(this.git, this.remote, '--bare', '--single-branch')

    const listed = await this.git.ask([...this.#bare, 'for-each-ref', '--format=%(refname) %(objectname)'])
    const refs = new Map(listed.split('\n').map((line) => line.split(' ') as [string, string]))
    for (const [ref, oid] of this.#acknowledgedRefs) {
      if (refs.get(ref) !== oid) t.fail(`${fault}: ${ref} was acknowledged, and is ${refs.get(ref) ?? 'missing'}`)
    }
    for (const [ref, oid] of this.#unacknowledgedRefs) {
      if (![undefined, oid].includes(refs.get(ref)))
        t.fail(`${fault}: ${ref} is ${refs.get(ref) ?? ''}, which nobody pushed`)
    }
    const tokens = (await this.cli.json('token', 'list')) as readonly { readonly name: string }[]
    const names = new Set(tokens.map(({ name }) => name))
    t.strictSame(
      [...this.#acknowledgedTokens].filter((name) => !names.has(name)),
      [],
      `${fault}: no token is lost`,
    )

    const verified = await this.cli.run(['audit', 'verify'])
    t.equal(verified.status, 0, `${fault}: the audit log verifies: ${verified.stdout}${verified.stderr}`)
    await this.git.run([...this.#bare, 'update-ref', '-d', 'refs/heads/pushed'])
    await this.git.run([...this.#bare, 'fsck', '--full', '--strict', '--no-dangling'])
    const isIdle = await within(2_000, () => processesIn(this.disk).length === 0)
    t.ok(isIdle, `${fault}: no process is left: ${processesIn(this.disk).map(commandOf).join(', ')}`)
    // A push that ends alone removes what killed ones have left, and starts a spawn helper if none runs.
    await until(async () => (await this.#push()) && this.spawnHelpers.length === this.#spawnHelperCount)
    t.ok(await within(1_000, () => quarantinesIn(this.disk).length === 0), `${fault}: no quarantine is left`)
    const expected = Math.max(1, this.workers.length)
    t.ok(await within(2_000, () => cacheFolders(this.data).length === expected), `${fault}: no cache folder is left`)
  }

  get #bare(): string[] {
    return ['-c', 'safe.directory=*', '--git-dir', this.disk]
  }

  /** Descriptors that the gate's processes have open, and the number of its processes. */
  usage(): { readonly descriptors: number; readonly processes: number } {
    const pid = this.gate.child.pid ?? 0
    const pids = [pid, ...this.workers, ...this.spawnHelpers]
    const descriptors = pids.reduce((sum, one) => sum + readdirSync(`/proc/${one}/fd`).length, 0)
    return { descriptors, processes: pids.length }
  }

  /** Asserts that the gate holds no more than before, once its idle connections are closed. */
  async checkUsage(t: Test, before: ReturnType<FaultWorld['usage']>, fault: string): Promise<void> {
    const isSettled = (): boolean => {
      const { descriptors, processes } = this.usage()
      return descriptors <= before.descriptors + SPARE_DESCRIPTORS && processes === before.processes
    }
    t.ok(await within(2_000, isSettled), `${fault}: ${JSON.stringify(this.usage())} after ${JSON.stringify(before)}`)
  }
}
