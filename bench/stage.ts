import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeCertificates } from '../test/acceptance/certificates.js'
import { GitClient } from '../test/acceptance/git-client.js'
import { apache } from '../test/backends/apache.js'
import { freePort, startServer } from '../test/backends/backend.js'
import type { Owner } from '../test/backends/backend.js'
import { bareRepositories } from '../test/backends/bare-repositories.js'
import { nodeGitServer } from '../test/backends/node-git-server.js'
import type { Accounting } from './accounting/account.js'
import { controlGroups } from './accounting/control-groups.js'
import { processTree } from './accounting/process-tree.js'
import { prepareGate, serveHas, startGate } from './peers/gates.js'
import type { Credentials, NginxUrls } from './peers/nginx.js'
import { startGitHttpBackend, startProxyPass } from './peers/nginx.js'
import type { Peer, PeerName } from './peers/peer.js'
import type { RepositoryCache } from './repositories/cache.js'
import type { Recipe } from './repositories/recipes.js'

/** Where the starters of test/backends expect the repositories. */
const REPOSITORIES = 'backend-repositories'
const HTTP_PROXY = join(import.meta.dirname, 'peers', 'http-proxy.js')
// A gate gathers audit rows for half a second; writing them takes a few dozen milliseconds.
const GATE_SETTLE_MS = 600

/** A repository that all peers serve. */
export type StagedRepository = { readonly path: string; readonly folder: string }

/** The peers of a run over one folder of repositories, each started when it is first needed. */
export class Stage {
  readonly folder: string
  readonly accounting: Accounting
  readonly git: GitClient
  readonly credentials: Credentials
  /** Whether the gate has a cache that can be switched off, so that it is to be measured both ways. */
  readonly hasResponseCache: boolean
  readonly #owner: Owner
  readonly #cache: RepositoryCache
  readonly #prepared: string
  readonly #program: string | undefined
  readonly #peers = new Map<PeerName, Promise<Peer>>()
  readonly #repositories = new Map<string, Promise<StagedRepository>>()
  #nginx: Promise<NginxUrls & Pick<Peer, 'cpu'>> | undefined

  private constructor(owner: Owner, cache: RepositoryCache, paths: StagePaths, gate: Gate) {
    this.#owner = owner
    this.#cache = cache
    this.#prepared = paths.prepared
    this.#program = paths.program
    this.folder = paths.folder
    this.credentials = gate.credentials
    this.hasResponseCache = gate.hasResponseCache
    this.accounting = controlGroups(owner) ?? processTree
    this.git = new GitClient(paths.folder, 'client')
  }

  /**
   * Makes a folder for all that a run makes, which goes with the run.
   *
   * @param program the gates' executable (default: that of this checkout)
   */
  static async open(owner: Owner, cache: RepositoryCache, program?: string): Promise<Stage> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gitgate-bench-')))
    owner.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
    // Apache runs as another user.
    chmodSync(folder, 0o755)
    // A gate would make it for itself alone.
    mkdirSync(join(folder, REPOSITORIES))
    const prepared = join(folder, 'prepared')
    const credentials = await prepareGate(prepared, program)
    const hasResponseCache = await serveHas('--no-cache', prepared)
    return new Stage(owner, cache, { folder, prepared, program }, { credentials, hasResponseCache })
  }

  /** The gate as it comes, and without its cache where it has one. */
  get gates(): readonly PeerName[] {
    return this.hasResponseCache ? ['gitgate', 'gitgate --no-cache'] : ['gitgate']
  }

  async peers(...names: readonly PeerName[]): Promise<Peer[]> {
    const started: Peer[] = []
    // One after the other: what begins while one is opened goes on its account.
    for (const name of names) started.push(await this.peer(name))
    return started
  }

  peer(name: PeerName): Promise<Peer> {
    const starting = this.#peers.get(name) ?? this.#start(name)
    this.#peers.set(name, starting)
    return starting
  }

  /** The repository of a recipe, on all peers. */
  repository(recipe: Recipe): Promise<StagedRepository> {
    const known = this.#repositories.get(recipe.name)
    if (known !== undefined) return known
    const path = `bench/${recipe.name}`
    const folder = join(this.#root, `${path}.git`)
    mkdirSync(dirname(folder), { recursive: true })
    const placing = this.#cache.place(recipe, folder).then(() => ({ path, folder }))
    this.#repositories.set(recipe.name, placing)
    return placing
  }

  /** An empty repository on all peers. */
  async emptyRepository(path: string): Promise<StagedRepository> {
    return { path, folder: await bareRepositories(this.#root)(path, 'sha1') }
  }

  /** The address of a repository for git, with credentials. */
  remote({ url }: Peer, { path }: StagedRepository): string {
    const { username, password } = this.credentials
    return `${url.replace('//', `//${username}:${password}@`)}/${path}.git`
  }

  /** Starts a gate beside the others, for one bench. @param folder a name of its own */
  async startGate(name: PeerName, folder: string, flags: readonly string[]): Promise<Peer> {
    const cpu = this.accounting.open(folder)
    const own = join(this.folder, folder)
    const url = await cpu.opening(() => startGate(this.#owner, own, this.#prepared, flags, this.#program))
    return { name, url, cpu, settleMs: GATE_SETTLE_MS }
  }

  /** Processes of the peers whose children could not be accounted for. */
  async blindSpots(): Promise<string[]> {
    const peers = await Promise.all(this.#peers.values())
    return [...new Set(peers.flatMap(({ cpu }) => cpu.blindSpots()))]
  }

  /** The flags by which a gate serves the repositories itself. */
  get embedded(): readonly string[] {
    return ['--repos', this.#root]
  }

  get #root(): string {
    return join(this.folder, REPOSITORIES)
  }

  async #start(name: PeerName): Promise<Peer> {
    switch (name) {
      case 'gitgate':
        return this.startGate(name, 'gitgate', this.embedded)
      case 'gitgate --no-cache':
        return this.startGate(name, 'gitgate-no-cache', [...this.embedded, '--no-cache'])
      case 'gitgate over TLS': {
        const { cert, key } = makeCertificates(this.folder)
        return this.startGate(name, 'gitgate-tls', [...this.embedded, '--tls-cert', cert, '--tls-key', key])
      }
      case 'gitgate --workers 2':
        return this.startGate(name, 'gitgate-workers', [...this.embedded, '--workers', '2'])
      case 'gitgate --workers 2 --no-cache':
        return this.startGate(name, 'gitgate-workers-no-cache', [...this.embedded, '--workers', '2', '--no-cache'])
      case 'gitgate before nginx': {
        const upstream = await this.#trustingNginx()
        return { ...(await this.startGate(name, 'gitgate-before-nginx', ['--upstream', upstream.url])), upstream }
      }
      case 'nginx + git http-backend': {
        const { authenticating, cpu } = await this.#startNginx()
        return { name, url: authenticating, cpu }
      }
      case 'Apache + git http-backend':
        return this.#open(name, 'apache', async () => (await apache.start?.(this.#owner, this.folder))?.url ?? '')
      case 'node-git-server': {
        const start = async () => (await nodeGitServer.start?.(this.#owner, this.folder))?.url ?? ''
        return this.#open(name, 'node-git-server', start)
      }
      case 'nginx proxy_pass': {
        const upstream = await this.#trustingNginx()
        const start = () => startProxyPass(this.#owner, this.folder, upstream.url, this.credentials)
        return { ...(await this.#open(name, 'nginx-proxy-pass', start)), upstream }
      }
      case 'http-proxy': {
        const upstream = await this.#trustingNginx()
        const start = async () => {
          const port = await freePort()
          await startServer(this.#owner, process.execPath, [HTTP_PROXY, upstream.url, String(port)], { port })
          return `http://127.0.0.1:${port}`
        }
        return { ...(await this.#open(name, 'http-proxy', start)), upstream }
      }
    }
  }

  async #open(name: PeerName, account: string, start: () => Promise<string>): Promise<Peer> {
    const cpu = this.accounting.open(account)
    return { name, url: await cpu.opening(start), cpu }
  }

  async #trustingNginx(): Promise<Peer> {
    const { trusting, cpu } = await this.#startNginx()
    return { name: 'nginx + git http-backend', url: trusting, cpu }
  }

  /** Started once for two names. */
  #startNginx(): Promise<NginxUrls & Pick<Peer, 'cpu'>> {
    this.#nginx ??= this.#openNginx()
    return this.#nginx
  }

  async #openNginx(): Promise<NginxUrls & Pick<Peer, 'cpu'>> {
    const cpu = this.accounting.open('nginx')
    const start = () => startGitHttpBackend(this.#owner, this.folder, this.#root, this.credentials)
    return { ...(await cpu.opening(start)), cpu }
  }
}

type StagePaths = { readonly folder: string; readonly prepared: string; readonly program: string | undefined }
type Gate = { readonly credentials: Credentials; readonly hasResponseCache: boolean }
