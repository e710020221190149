import type { ChainHead } from './chain.js'
import type { Flaw } from './flaw.js'
import type { AuditContext, AuditDecision, AuditEvent, AuditRow, Via } from './event.js'
import type { RecentUsage, UsedRepositories, Usage } from './usage.js'

/** Filters of audit events; absent ones don't matter. */
export type AuditQuery = {
  /** A username: who did it, on whose behalf, or to whose account. */
  readonly user?: string
  /** IDs of tokens: that did it, or that it was done to. */
  readonly tokens?: readonly number[]
  /** A repository, or a pattern with `*` for anything. */
  readonly repository?: string
  /** An action, or a kind of actions: the part before the dot, such as `git`. */
  readonly action?: string
  readonly decision?: AuditDecision
  readonly via?: Via
  readonly ip?: string
  /** The earliest and the latest instant. */
  readonly since?: Date
  readonly until?: Date
  /** Only events after, or before, this ID. */
  readonly after?: number
  readonly before?: number
  /** How many at most. */
  readonly limit: number
  /** Oldest first, from the oldest on. @default newest first */
  readonly oldestFirst?: boolean
}

/** The result of verifying the audit log. */
export type Verification = {
  /** How many rows were intact before the first flaw. */
  readonly rows: number
  readonly first: ChainHead
  readonly head: ChainHead
  readonly flaw: Flaw | undefined
}

/** Why audit export can't deliver, since when. */
export type ExportFailure = { readonly since: Date; readonly message: string }

/** Where the audit log is stored. Events are added and the oldest pruned; none is ever changed. */
export interface AuditStore {
  /** Adds events in one transaction. */
  record(events: readonly AuditEvent[]): Promise<void>
  list(query: AuditQuery): Promise<AuditRow[]>
  /** Sums up what tokens did since an instant. */
  usage(tokens: readonly number[], since: Date): Promise<Usage[]>
  /**
   * The same for their latest events only, so that a busy token takes no longer.
   *
   * @param most how many events to sum up; those of the first tokens come first
   */
  recentUsage(tokens: readonly number[], since: Date, most: number): Promise<RecentUsage>
  /** How many different repositories a token, with those derived from it, was used with since an instant. */
  usedRepositories(token: number, since: Date): Promise<UsedRepositories>
  /** When the audit log begins; `undefined` if it is empty. */
  begin(): Promise<Date | undefined>
  /** The end of the chain. */
  head(): Promise<ChainHead>
  /**
   * Checks each row of the log against the one before it, and then whether the tables contain what the events say.
   *
   * @param anchor a checkpoint saved elsewhere
   * @param onProgress called now and then with the number of rows read
   * @throws GitgateError `invalid` when the anchor's row was pruned
   */
  verify(anchor?: ChainHead, onProgress?: (rows: number) => void): Promise<Verification>
  /**
   * Deletes the oldest events, and stores where the chain now begins.
   *
   * @param before events from before this instant are too old, if the clock is right
   * @param now the clock's time
   */
  prune(context: AuditContext, before: Date, now: Date, guard: PruneGuard): Promise<Pruned>
  /**
   * Rebuilds what is derived from the log, and replaces the checkpoint by the head of the log. An event records it; the events stay
   * as they are.
   */
  repair(context: AuditContext): Promise<void>
}

/**
 * Keeps a wrong clock from deleting everything: age counts from the time that events confirm, and at most a share of the log, in
 * percent, is deleted at once. With `force` only the clock counts.
 */
export type PruneGuard = { readonly share: number } | 'force'

/** The result of pruning, in events. */
export type Pruned = {
  readonly deleted: number
  /** Too old, but beyond the share. */
  readonly overShare: number
  /** Too old by the clock, but not by the time that events confirm. */
  readonly unconfirmed: number
  readonly confirmedAt: Date | undefined
}
