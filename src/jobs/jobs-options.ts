import type { AuditStore } from '../domain/audit/audit-log.js'
import type { Clock } from '../core/clock.js'
import type { Config } from '../config/config.js'
import type { Logger } from '../server/log.js'
import type { NotificationStore } from '../domain/notifications/delivery.js'
import type { WebhookStore } from '../domain/notifications/webhook.js'
import type { SettingStore } from '../domain/policies/settings.js'
import type { TokenStore } from '../domain/tokens/store.js'

/** What jobs need. */
export type JobsOptions = {
  readonly config: Pick<Config, 'smtp' | 'mailFrom' | 'auditPruneShare'>
  readonly store: {
    readonly tokens: TokenStore
    readonly settings: SettingStore
    readonly notifications: NotificationStore
    readonly webhooks: Pick<WebhookStore, 'list'>
    readonly audit: Pick<AuditStore, 'prune'>
    readonly jobRuns: JobRunStore
  }
  readonly clock: Clock
  /** URL of the page where users manage tokens. */
  readonly tokensPage: () => Promise<string>
  /** Absent in commands, which report the outcome themselves. */
  readonly log?: Logger
}

/** When jobs last ran, in any gate. */
export type JobRunStore = {
  find(name: string): Promise<JobRun | undefined>
  write(name: string, at: Date, isDone: boolean, outcome: string): Promise<void>
}

/** `doneAt` is the last success (`null`: never), `triedAt` the last run, and `outcome` its outcome. */
export type JobRun = { readonly doneAt: Date | null; readonly triedAt: Date; readonly outcome: string }
