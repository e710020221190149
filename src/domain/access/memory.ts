import { LRUCache } from 'lru-cache'
import type { Account } from '../accounts/account.js'
import type { SettingKey, Settings } from '../policies/settings.js'
import { resolveSettings } from '../policies/settings.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Secret } from '../../core/secret.js'
import type { PersonalAccessToken } from '../tokens/token.js'
import type { Grant, ReadyGrant, Subject } from './grant.js'
import { readyGrant, subjectsOf } from './grant.js'
import type { Protection, RefProtections } from './protection.js'
import { refProtections } from './protection.js'

/** A token with its owner. */
export type VerifiedToken = { readonly token: PersonalAccessToken; readonly owner: Account }

/** What access reads from the store for each request. */
export interface AccessSource {
  /**
   * The security epoch: a number that every change able to alter a decision moves, in the change's own transaction.
   */
  readEpoch(): Promise<number>
  findTokenWithOwner(digest: Secret): Promise<VerifiedToken | undefined>
  findTokenWithOwnerById(id: number): Promise<VerifiedToken | undefined>
  findAccountByLogin(login: string): Promise<Account | undefined>
  findAccount(id: number): Promise<Account | undefined>
  listGrantsFor(subjects: readonly Subject[]): Promise<Grant[]>
  listProtectionsFor(repository: RepositoryPath): Promise<Protection[]>
  /** The settings that were changed, as texts. */
  listSettings(): Promise<ReadonlyMap<string, string>>
  settingSetAt(key: SettingKey): Promise<Date | undefined>
}

const REMEMBERED_TOKENS = 10_000
const REMEMBERED_ACCOUNTS = 1_000
const REMEMBERED_REPOSITORIES = 1_000

/**
 * Keeps rows of the store in memory until the security epoch moves. The epoch is read before the rows, so a row is never older
 * than the epoch it is kept under; a new epoch starts with an empty memory. It keeps rows, not decisions: expiry and
 * blocks are checked for each request.
 */
export class AccessMemory {
  readonly #source: AccessSource
  #current: Snapshot | undefined

  constructor(source: AccessSource) {
    this.#source = source
  }

  /** The rows for a request that arrives now. */
  async current(): Promise<Snapshot> {
    const epoch = await this.#source.readEpoch()
    if (this.#current?.epoch !== epoch) this.#current = new Snapshot(epoch, this.#source)
    return this.#current
  }

  /** The rows for a request whose epoch was read before, which saves 7 µs. */
  async at(epoch: number): Promise<Snapshot> {
    return this.#current?.epoch === epoch ? this.#current : await this.current()
  }
}

/** The rows of one security epoch, read when they are needed. */
export class Snapshot {
  readonly epoch: number
  readonly #source: AccessSource
  // Unknown digests aren't kept: guesses would evict the tokens that are in use.
  readonly #tokens = new LRUCache<string, VerifiedToken>({ max: REMEMBERED_TOKENS })
  readonly #grants = new LRUCache<string, Promise<ReadyGrant[]>>({ max: REMEMBERED_ACCOUNTS })
  readonly #protections = new LRUCache<RepositoryPath, Promise<RefProtections>>({ max: REMEMBERED_REPOSITORIES })
  readonly #once = new Map<string, Promise<unknown>>()

  constructor(epoch: number, source: AccessSource) {
    this.epoch = epoch
    this.#source = source
  }

  async findToken(digest: Secret): Promise<VerifiedToken | undefined> {
    const key = digest.reveal()
    const known = this.#tokens.get(key)
    if (known !== undefined) return known
    const found = await this.#source.findTokenWithOwner(digest)
    if (found !== undefined) this.#tokens.set(key, found)
    return found
  }

  /** The current token, for transfers that began in an earlier epoch. */
  findTokenById(id: number): Promise<VerifiedToken | undefined> {
    return this.#source.findTokenWithOwnerById(id)
  }

  /** The current account. */
  findAccountById(id: number): Promise<Account | undefined> {
    return this.#source.findAccount(id)
  }

  /** Not kept in memory: bcrypt takes far longer. */
  findAccount(login: string): Promise<Account | undefined> {
    return this.#source.findAccountByLogin(login)
  }

  grantsOf(account: Account | undefined): Promise<ReadyGrant[]> {
    const key = account?.username ?? ''
    const known = this.#grants.get(key)
    if (known !== undefined) return known
    const grants = this.#source.listGrantsFor(subjectsOf(account)).then((list) => list.map(readyGrant))
    this.#grants.set(key, grants)
    // A failed read must not stay until the next change.
    grants.catch(() => this.#grants.delete(key))
    return grants
  }

  settings(): Promise<Settings> {
    return this.#readOnce('settings', async () => resolveSettings(await this.#source.listSettings()))
  }

  /** When the setting last began to require two-factor authentication. */
  twoFactorRequiredSince(): Promise<Date | undefined> {
    return this.#readOnce('required since', () => this.#source.settingSetAt('require_two_factor_authentication'))
  }

  /** Reads only those of one repository, so that others don't slow down its pushes. */
  protectionsOf(repository: RepositoryPath): Promise<RefProtections> {
    const known = this.#protections.get(repository)
    if (known !== undefined) return known
    const protections = this.#source.listProtectionsFor(repository).then((list) => refProtections(repository, list))
    this.#protections.set(repository, protections)
    // A failed read must not stay until the next change.
    protections.catch(() => this.#protections.delete(repository))
    return protections
  }

  #readOnce<T>(key: string, read: () => Promise<T>): Promise<T> {
    const known = this.#once.get(key) as Promise<T> | undefined
    if (known !== undefined) return known
    const reading = read()
    this.#once.set(key, reading)
    // A failed read must not stay until the next change.
    reading.catch(() => this.#once.delete(key))
    return reading
  }
}
