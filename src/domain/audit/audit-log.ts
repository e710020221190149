import type { ChainHead } from './chain.js'
import type { Flaw } from './flaw.js'
import type { AuditContext, AuditDecision, AuditEvent, AuditRow, Via } from './event.js'
import type { RecentUsage, UsedRepositories, Usage } from './usage.js'

/** Which rows of the trail are wanted; what is not given does not matter. */
export type AuditQuery = {
  /** A username: who did it, in whose name it was done, or whose account it was done to. */
  readonly user?: string
  /** Numbers of tokens: that did it, or that it was done to. */
  readonly tokens?: readonly number[]
  /** A repository, or a pattern with `*` for anything. */
  readonly repository?: string
  /** An action, or all that begin with what stands before the dot: `git`. */
  readonly action?: string
  readonly decision?: AuditDecision
  readonly via?: Via
  readonly ip?: string
  /** The earliest and the latest instant. */
  readonly since?: Date
  readonly until?: Date
  /** Only rows after, or before, this number. */
  readonly after?: number
  readonly before?: number
  /** How many at most. */
  readonly limit: number
  /** Oldest first, from the oldest on. @default newest first */
  readonly oldestFirst?: boolean
}

/** What came of checking a trail. */
export type Verification = {
  /** How many rows were right before the first that was not, or in all. */
  readonly rows: number
  readonly first: ChainHead
  readonly head: ChainHead
  readonly flaw: Flaw | undefined
}

/** Why audit export can't deliver, since when. */
export type ExportFailure = { readonly since: Date; readonly message: string }

/** Where the trail is kept. Rows are added, and the oldest pruned; nothing is ever changed. */
export interface AuditStore {
  /** Adds events in one transaction. */
  record(events: readonly AuditEvent[]): Promise<void>
  list(query: AuditQuery): Promise<AuditRow[]>
  /** What tokens did since an instant, added up. */
  usage(tokens: readonly number[], since: Date): Promise<Usage[]>
  /**
   * The same of their last rows only, so that it takes no longer for a busy token.
   *
   * @param most how many rows are added up at most; those of the first tokens first
   */
  recentUsage(tokens: readonly number[], since: Date, most: number): Promise<RecentUsage>
  /** How many different repositories a token, with those derived from it, was used with since an instant. */
  usedRepositories(token: number, since: Date): Promise<UsedRepositories>
  /** When the trail begins; `undefined` where it is empty. */
  begin(): Promise<Date | undefined>
  /** The end of the chain. */
  head(): Promise<ChainHead>
  /**
   * Reads the whole log and checks each row against the one before it; then whether the tables hold what the events say.
   *
   * @param anchor a head that was kept elsewhere
   * @param onProgress is told now and then how many rows were read
   * @throws GitgateError `invalid` when the anchor's row was pruned
   */
  verify(anchor?: ChainHead, onProgress?: (rows: number) => void): Promise<Verification>
  /**
   * Deletes the oldest rows, and notes where the chain begins from then on.
   *
   * @param before those from before this instant are too old, if the clock is right
   * @param now by the clock
   */
  prune(context: AuditContext, before: Date, now: Date, guard: PruneGuard): Promise<Pruned>
  /**
   * Rebuilds what is derived from the log, and replaces the checkpoint by the head of the log. An event records it; the events stay
   * as they are.
   */
  repair(context: AuditContext): Promise<void>
}

/**
 * What keeps a wrong clock from deleting everything: age counts from the time that events confirm, and at most a share of the log,
 * in percent, is deleted at once. `force`: the clock alone counts.
 */
export type PruneGuard = { readonly share: number } | 'force'

/** What came of pruning, in rows. */
export type Pruned = {
  readonly deleted: number
  /** Too old, but beyond the share. */
  readonly overShare: number
  /** Too old by the clock, but not by the time that events confirm. */
  readonly unconfirmed: number
  readonly confirmedAt: Date | undefined
}
