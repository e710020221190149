import type { AuditStore } from '../audit/trail.js'
import type { Clock } from '../clock.js'
import type { Config } from '../config.js'
import type { Logger } from '../log.js'
import type { NoticeStore } from '../notices/delivery.js'
import type { WebhookStore } from '../notices/webhook.js'
import type { SettingStore } from '../policies/settings.js'
import type { TokenStore } from '../tokens/store.js'

/** What jobs are made of. */
export type JobsOptions = {
  readonly config: Pick<Config, 'smtp' | 'mailFrom' | 'auditPruneShare'>
  readonly store: {
    readonly tokens: TokenStore
    readonly settings: SettingStore
    readonly notices: NoticeStore
    readonly webhooks: Pick<WebhookStore, 'list'>
    readonly audit: Pick<AuditStore, 'prune'>
    readonly jobRuns: JobRunStore
  }
  readonly clock: Clock
  /** Where tokens are made, as people reach it. */
  readonly tokensPage: () => Promise<string>
  /** Absent for a command, which says by itself what came of it. */
  readonly log?: Logger
}

/** When jobs ran, whichever gate ran them. */
export type JobRunStore = {
  find(name: string): Promise<JobRun | undefined>
  write(name: string, at: Date, isDone: boolean, outcome: string): Promise<void>
}

/** `doneAt` is the last time that it was done, `triedAt` the last time that it was tried, `outcome` what came of that. */
export type JobRun = { readonly doneAt: Date | null; readonly triedAt: Date; readonly outcome: string }
