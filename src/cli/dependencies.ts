import type { ProtectionStore } from '../domain/access/protection.js'
import type { GrantStore } from '../domain/access/grant.js'
import type { AccountStore } from '../domain/accounts/account.js'
import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import type { ChainHead } from '../domain/audit/chain.js'
import type { Actor, AuditContext, AuditEvent } from '../domain/audit/event.js'
import type { Flaw } from '../domain/audit/flaw.js'
import type { AuditStore, ExportFailure } from '../domain/audit/audit-log.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import type { NotificationStore } from '../domain/notifications/delivery.js'
import type { WebhookStore } from '../domain/notifications/webhook.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { Service } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { Secret } from '../core/secret.js'
import type { TokenStore } from '../domain/tokens/store.js'

/** The stores that commands work with, and what can be built over them. */
export type CliStore = {
  readonly accounts: AccountStore
  readonly twoFactors: TwoFactorStore
  readonly tokens: TokenStore
  readonly grants: GrantStore
  readonly protections: ProtectionStore
  readonly settings: SettingStore
  readonly notifications: NotificationStore
  readonly webhooks: WebhookStore
  readonly facts: {
    readBackend(): Promise<{ readonly upstream: string } | { readonly root: string } | undefined>
    readBookmark(target: string): Promise<number | undefined>
    readExportFailure(target: string): Promise<ExportFailure | undefined>
  }
  readonly audit: AuditStore
  /** Records an audit event for a change made outside the database. */
  note(context: AuditContext, change: RepositoryChange): Promise<void>
  /** Whether the disk is full, so that only revocations, blocks and sign-outs are still written. */
  isDiskFull(): Promise<boolean>
  /** Writes a complete copy of the database while it is in use. */
  backup(file: string): void
  /** Builds a gate over this store. */
  createGate(config: Config): Promise<CliGate>
  /** The jobs over this store. */
  jobs(config: Config): Promise<CliJobs>
  close(): Promise<void>
}

/** Scheduled jobs, as `gitgate jobs` lists and runs them. */
export type CliJobs = {
  list(): Promise<readonly CliJob[]>
  /**
   * Runs a job now, and sends pending notifications.
   *
   * @returns the outcome, and the job's name: `name` may be the one it had in 0.1.0
   * @throws GitgateError `usage` if there is no such job, `delivery` if a notification was not accepted
   */
  run(name: string): Promise<{ readonly name: string; readonly outcome: string }>
  /** @throws GitgateError `delivery` if the test was not accepted */
  testWebhook(webhook: { readonly url: string; readonly secret: Secret }): Promise<void>
}

/** A job with its last and next runs. */
export type CliJob = {
  readonly name: string
  readonly schedule: string
  readonly summary: string
  readonly writesNotifications: boolean
  readonly run: { readonly doneAt: Date | null; readonly triedAt: Date; readonly outcome: string } | undefined
  readonly next: Date
}

/** A change to a repository, as the audit event records it. */
export type RepositoryChange = Pick<AuditEvent, 'action' | 'repository'> &
  Partial<Pick<AuditEvent, 'details' | 'decision'>>

/** The repositories of the embedded server, as `gitgate repo` manages them. */
export type CliRepositories = {
  readonly root: string
  has(path: RepositoryPath): boolean
  hasGroup(path: RepositoryPath): boolean
  list(): RepositoryPath[]
  create(path: RepositoryPath, format: 'sha1' | 'sha256'): Promise<void>
  createSample(path: RepositoryPath, readme: string): Promise<void>
  remove(path: RepositoryPath): Promise<void>
  rename(path: RepositoryPath, to: RepositoryPath): Promise<void>
  /** Whether it has so many loose refs that requests become slower. */
  hasManyLooseRefs(path: RepositoryPath): boolean
  /** Whether users who can read its folder can't read some of its files. */
  hasUnreadableFiles(path: RepositoryPath): boolean
}

/** A gate that a command can start. */
export type CliGate = {
  listen(): Promise<string>
  /** Reads certificates, keys and credentials again. */
  reload(): void
  close(): Promise<void>
}

/** What the command line is handed. It knows the domain and these interfaces, but no adapter. */
export type CliDependencies = {
  /** The user who runs the command. */
  readonly operator: Actor
  /** Opens the store in the data folder, and creates it if it is missing. */
  openStore(config: Config): CliStore
  /**
   * Puts a backup in the place of the database.
   *
   * @param withoutSecrets does without what was encrypted under a key that is lost
   * @throws GitgateError `conflict` while somebody uses the data folder, `not-found` and `store` when the backup can't be used
   */
  restore(config: Config, file: string, withoutSecrets: boolean): Promise<RestoreOutcome>
  /** Opens the folder with the repositories. */
  openRepositories(root: string, config: Config): Promise<CliRepositories>
  readonly probes: DoctorProbes
  /** The caches of the gates that run on this data folder. */
  readonly cache: {
    reports(config: Config): Promise<readonly CacheReport[]>
    /** @returns how many gates were told to clear theirs */
    clear(config: Config): Promise<number>
  }
}

/** What came of a restore. With a flaw in the backup's audit log, nothing was changed. */
export type RestoreOutcome =
  | { readonly kind: 'edited'; readonly flaw: Flaw }
  | {
      readonly kind: 'restored'
      readonly database: string
      /** The file of the database that was replaced. */
      readonly kept: string | undefined
      /** The last event of the backup. */
      readonly head: ChainHead
      /** The last event that the replaced log is known to have had. */
      readonly replacedHead: ChainHead | undefined
      /** What got lost with the key: accounts that can use only tokens for now, and URLs of webhooks. */
      readonly forgotten: { readonly locked: readonly string[]; readonly webhooks: readonly string[] } | undefined
    }

/** A database that is kept in the data folder beside the one in use. */
export type KeptDatabase = { readonly file: string; readonly bytes: number; readonly at: Date }

/** What a gate reports about its cache. */
export type CacheReport = {
  readonly [K in 'pid' | 'quota' | 'hit' | 'coalesced' | 'miss' | 'bypass' | 'evicted' | 'entries' | 'bytes']: number
} & { readonly instance: string; readonly at: string }

/** How `gitgate doctor` looks at the environment. Each probe throws what is wrong. */
export type DoctorProbes = {
  /** @returns the path and version of Git */
  git(config: Config): Promise<{ readonly path: string; readonly version: string }>
  /** Checks every page of the database. @returns what SQLite complains about */
  database(config: Config): readonly string[]
  /** @returns databases that a migration or a restore left beside the one in use */
  keptDatabases(config: Config): readonly KeptDatabase[]
  /** @returns when the certificate expires, if one is configured */
  certificate(config: Config): Date | undefined
  /** @returns why the upstream doesn't serve the gate; `undefined` if it does */
  upstreamFailure(upstream: UpstreamConfig): Promise<string | undefined>
  /**
   * Requests a repository from the upstream directly: with the gate's credential, without one, or as a made-up user.
   *
   * @returns the HTTP status of the response
   */
  upstreamStatus(
    upstream: UpstreamConfig,
    repository: RepositoryPath,
    service: Service,
    as: 'gate' | 'anonymous' | 'made-up-user',
  ): Promise<number>
}
