import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import type { Account } from '../../src/domain/accounts/account.js'
import { Passwords } from '../../src/domain/accounts/password.js'
import { loadConfig } from '../../src/config/config.js'
import type { Flags } from '../../src/config/config.js'
import { createCliDependencies } from '../../src/app/cli-dependencies.js'
import { MINUTE } from '../../src/core/clock.js'
import { createGate } from '../../src/app/gate.js'
import { createLog } from '../../src/server/log.js'
import { issueRules, resolveSettings } from '../../src/domain/policies/settings.js'
import type { Intervals } from '../../src/core/intervals.js'
import type { SettingKey } from '../../src/domain/policies/settings.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'
import type { Role } from '../../src/domain/access/grant.js'
import { Secret } from '../../src/core/secret.js'
import type { Store } from '../../src/storage/open.js'
import { openStore } from '../../src/storage/open.js'
import type { IssuedToken, TokenDraft } from '../../src/domain/tokens/issue.js'
import { issueToken } from '../../src/domain/tokens/issue.js'
import type { Scope } from '../../src/domain/tokens/scope.js'
import { redactTokens } from '../../src/domain/tokens/token-secret.js'
import type { BackendKind, StartedBackend } from '../backends/backend.js'
import { GitClient } from './git-client.js'
import { TEST_INTERVALS } from './gitgate-cli.js'
import type { HttpAnswer, HttpOptions } from './http-client.js'
import { http } from './http-client.js'
import { temporaryFolder } from './temporary-folder.js'
import { until } from './until.js'

/** The three people of every acceptance test: a user, an administrator, an attacker. */
export type Person = 'alice' | 'root' | 'mallory'

/** A running gate with its people, and a folder for all that a test makes. */
export class World {
  readonly folder: string
  readonly url: string
  readonly store: Store
  readonly git: GitClient
  readonly #logged: string[]
  readonly #clock: { now: Date }
  readonly #looks: { count: number }
  readonly #createRepository: StartedBackend['createRepository']
  readonly #adopt: (folder: string) => void
  readonly #repos: string

  constructor(parts: {
    folder: string
    url: string
    store: Store
    logged: string[]
    clock: { now: Date }
    looks: { count: number }
    repos: string
    createRepository: StartedBackend['createRepository']
    adopt: (folder: string) => void
  }) {
    this.folder = parts.folder
    this.url = parts.url
    this.store = parts.store
    this.#logged = parts.logged
    this.#clock = parts.clock
    this.#looks = parts.looks
    this.#repos = parts.repos
    this.#createRepository = parts.createRepository
    this.#adopt = parts.adopt
    this.git = new GitClient(parts.folder, 'alice')
  }

  /** Everything that the gate has logged. */
  get log(): string {
    return this.#logged.join('')
  }

  /** The gate's time. */
  get now(): Date {
    return this.#clock.now
  }

  /** Moves the gate's time. */
  advance(milliseconds: number): void {
    this.#clock.now = new Date(this.#clock.now.getTime() + milliseconds)
  }

  /** Waits until the gate has looked for jobs that are due now, and then for deliveries. */
  async nextLooks(): Promise<void> {
    const minute = (date: Date | undefined): number => Math.floor((date?.getTime() ?? 0) / MINUTE)
    // This job runs each minute, after those that write notifications.
    await until(async () => {
      const run = await this.store.jobRuns.find('lifetime-revocation')
      return minute(run?.triedAt) === minute(this.now)
    })
    // The first of them may have begun before.
    const { count } = this.#looks
    await until(() => this.#looks.count >= count + 2)
  }

  async account(person: Person): Promise<Account> {
    return (await this.store.accounts.findByUsername(person))!
  }

  /** Issues a token and returns all of it. */
  async issue(person: Person, scopes: readonly Scope[], draft: Partial<TokenDraft> = {}): Promise<IssuedToken> {
    const rules = issueRules(resolveSettings(await this.store.settings.list()), this.now)
    const whole = { name: 'test', scopes, expiry: undefined, ...draft }
    return await issueToken(this.store.tokens, GATE_CONTEXT, await this.account(person), whole, rules, this.now)
  }

  /** Issues a token and returns its secret. */
  async token(person: Person, ...scopes: readonly Scope[]): Promise<string> {
    return (await this.issue(person, scopes)).secret.reveal()
  }

  async setPassword(person: Person, password: string): Promise<void> {
    const hash = await new Passwords(() => this.now, { cost: 4 }).hash(new Secret(password, 'password'))
    await this.store.accounts.setPasswordHash(GATE_CONTEXT, (await this.account(person)).id, hash)
  }

  async grant(subject: string, role: Role, pattern: string): Promise<void> {
    await this.store.grants.put(GATE_CONTEXT, { subject, role, pattern }, this.now)
  }

  async set(key: SettingKey, value: string): Promise<void> {
    await this.store.settings.set(GATE_CONTEXT, new Map([[key, value]]), this.now)
  }

  /** Creates an empty repository. @returns its folder on disk */
  async createRepository(path: string, format: 'sha1' | 'sha256' = 'sha1'): Promise<string> {
    const folder = await this.#createRepository(path, format)
    this.adopt(folder)
    return folder
  }

  /** Creates a repository with one commit on `main`. @returns its folder on disk */
  async seedRepository(path: string): Promise<string> {
    const folder = await this.createRepository(path)
    const ask = (args: string[], input = '') =>
      this.git.ask(['-c', 'safe.directory=*', '--git-dir', folder, ...args], { input })
    const blob = await ask(['hash-object', '-w', '--stdin'], '# Sample\n')
    const tree = await ask(['mktree'], `100644 blob ${blob}\tREADME.md\n`)
    await ask(['update-ref', 'refs/heads/main', await ask(['commit-tree', tree, '-m', 'Sample'])])
    this.adopt(folder)
    return folder
  }

  /** Gives what a test has put into a repository to whom the server runs as. */
  adopt(folder: string): void {
    this.#adopt(folder)
  }

  /** Where the embedded server keeps a repository. */
  onDisk(path: string): string {
    return join(this.#repos, `${path}.git`)
  }

  /** The URL of a repository, with credentials in it. */
  remote(path: string, secret?: string, user = 'alice'): string {
    const url = new URL(`${this.url}/${path}.git`)
    if (secret !== undefined) {
      url.username = user
      url.password = encodeURIComponent(secret)
    }
    return url.href
  }

  /** Makes one HTTP request to the gate. */
  http(path: string, options: HttpOptions = {}): Promise<HttpAnswer> {
    return http(this.url, path, options)
  }
}

/**
 * Starts a gate on a free port; it ends with the test.
 *
 * @param kind the server that it stands before; the embedded one by default
 * @param options `intervals` other than those of tests; `start`: the gate's time at first, now by default
 */
export async function createWorld(
  t: Test,
  flags: Flags = {},
  kind?: BackendKind,
  options: { readonly intervals?: Partial<Intervals>; readonly start?: Date } = {},
): Promise<World> {
  const folder = temporaryFolder(t)
  const repos = join(folder, 'repos')
  const backend = await kind?.start?.(t, folder)
  const place = backend === undefined ? { repos } : { upstream: backend.url }
  const config = loadConfig(
    { data: join(folder, 'data'), port: '0', bcryptCost: '4', ...place, ...flags },
    {},
    undefined,
  )
  const clock = { now: options.start ?? new Date() }
  const logged: string[] = []
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      logged.push(chunk.toString())
      done()
    },
  })
  const store = openStore(config.data, config.keyFile, {
    clock: () => clock.now,
    redact: redactTokens,
    durable: false,
  })
  const looks = { count: 0 }
  const gate = await createGate(config, {
    clock: () => clock.now,
    log: createLog('debug', redactTokens, sink),
    store: counting(store, looks),
    intervals: { ...TEST_INTERVALS, ...options.intervals },
  })
  const url = await gate.listen()
  t.teardown(async () => {
    await gate.close()
    await store.close()
  })
  for (const username of ['alice', 'root', 'mallory'] as const) {
    if ((await store.accounts.findByUsername(username)) !== undefined) continue
    await store.accounts.add(
      GATE_CONTEXT,
      { username, name: username, email: `${username}@example.com`, admin: username === 'root', passwordHash: null },
      clock.now,
    )
  }
  const createRepository =
    backend?.createRepository ??
    (async (path, format) => {
      const repositories = await createCliDependencies().openRepositories(repos, config)
      await repositories.create(parseRepositoryPath(path)!, format)
      return join(repos, `${path}.git`)
    })
  return new World({
    folder,
    url,
    store,
    logged,
    clock,
    looks,
    repos,
    createRepository,
    adopt: backend?.adopt ?? (() => undefined),
  })
}

/** A store that counts the looks for deliveries that found no more of them. */
function counting(store: Store, looks: { count: number }): Store {
  const take: Store['notifications']['take'] = async (wanted) => {
    const taken = await store.notifications.take(wanted)
    if (taken.length === 0) looks.count += 1
    return taken
  }
  return { ...store, notifications: { ...store.notifications, take } }
}
