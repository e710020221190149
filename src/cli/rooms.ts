import type { ProtectionStore } from '../domain/access/protection.js'
import type { GrantStore } from '../domain/access/grant.js'
import type { AccountStore } from '../domain/accounts/account.js'
import type { TwoFactorStore } from '../domain/accounts/two-factor.js'
import type { AuditEvent } from '../domain/audit/event.js'
import type { AuditStore, ExportFailure } from '../domain/audit/audit-log.js'
import type { Config, UpstreamConfig } from '../config/config.js'
import type { NotificationStore } from '../domain/notifications/delivery.js'
import type { WebhookStore } from '../domain/notifications/webhook.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { Service } from '../protocol/git-request.js'
import type { RepositoryPath } from '../protocol/repository-path.js'
import type { Secret } from '../core/secret.js'
import type { TokenStore } from '../domain/tokens/store.js'

/** What the commands keep and read, and can serve. */
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
  /** Tells the audit trail what was done elsewhere than in the store. */
  note(change: RepositoryChange): Promise<void>
  /** Whether nothing but revocations, blocks and ends of sessions is written. */
  isDiskFull(): Promise<boolean>
  /** Makes what is derived from the audit log anew, and notes its head beside the database. */
  repairAudit(): Promise<void>
  /** Writes a whole copy of the database while it is in use. */
  backup(file: string): Promise<void>
  /** Builds a gate over this store. */
  createGate(config: Config): Promise<CliGate>
  /** The jobs over this store. */
  jobs(config: Config): Promise<CliJobs>
  close(): Promise<void>
}

/** What is done by a schedule, as the commands show and run it. */
export type CliJobs = {
  list(): Promise<readonly CliJob[]>
  /**
   * Runs a job now, and sends the notifications that wait.
   *
   * @returns what came of it
   * @throws GitgateError `usage` for what is no job, `delivery` when not all notifications were accepted
   */
  run(name: string): Promise<string>
  /** @throws GitgateError `delivery` when a test was not accepted */
  testWebhook(webhook: { readonly url: string; readonly secret: Secret }): Promise<void>
}

/** A job, when it ran and when it will. */
export type CliJob = {
  readonly name: string
  readonly schedule: string
  readonly summary: string
  readonly writesNotifications: boolean
  readonly run: { readonly doneAt: Date | null; readonly triedAt: Date; readonly outcome: string } | undefined
  readonly next: Date
}

/** What was done to a repository. */
export type RepositoryChange = Pick<AuditEvent, 'action' | 'repository'> &
  Partial<Pick<AuditEvent, 'details' | 'decision'>>

/** The repositories of the embedded server, as the commands manage them. */
export type CliRepositories = {
  readonly root: string
  has(path: RepositoryPath): boolean
  hasGroup(path: RepositoryPath): boolean
  list(): RepositoryPath[]
  create(path: RepositoryPath, format: 'sha1' | 'sha256'): Promise<void>
  createSample(path: RepositoryPath, readme: string): Promise<void>
  remove(path: RepositoryPath): Promise<void>
  rename(path: RepositoryPath, to: RepositoryPath): Promise<void>
}

/** A gate that a command can start. */
export type CliGate = { listen(): Promise<string>; close(): Promise<void> }

/** The rooms that the command line is handed: it knows the domain, and no adapter. */
export type CliRooms = {
  /** Opens the store of the data folder; makes it where it is missing. */
  openStore(config: Config): CliStore
  /** Opens the folder of the repositories. */
  openRepositories(root: string, config: Config): Promise<CliRepositories>
  readonly examine: Examine
  /** The caches of gates that run on the data folder. */
  readonly cache: {
    reports(config: Config): Promise<readonly CacheReport[]>
    /** @returns how many gates were asked */
    clear(config: Config): Promise<number>
  }
}

/** What a gate tells about its cache. */
export type CacheReport = {
  readonly [K in 'pid' | 'quota' | 'hit' | 'coalesced' | 'miss' | 'bypass' | 'evicted' | 'entries' | 'bytes']: number
} & { readonly instance: string; readonly at: string }

/** How the surroundings are looked at by `doctor`. Each throws what is wrong. */
export type Examine = {
  /** @returns path and version of git */
  git(config: Config): Promise<{ readonly path: string; readonly version: string }>
  /** Checks every page of the database. @returns its complaints */
  database(config: Config): readonly string[]
  /** @returns until when the certificate is good, where one is configured */
  certificate(config: Config): Date | undefined
  /** Whether the upstream takes connections. */
  reachable(upstream: UpstreamConfig): Promise<boolean>
  /**
   * Asks the upstream past the gate: with the gate's credential, as nobody, or by a name that one gives oneself.
   *
   * @returns the status that it answers with
   */
  pastTheGate(
    upstream: UpstreamConfig,
    repository: RepositoryPath,
    service: Service,
    as: 'the gate' | 'nobody' | 'somebody',
  ): Promise<number>
}
