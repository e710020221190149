import type { Clock } from '../core/clock.js'
import type { Intervals } from '../core/intervals.js'
import type { Logger } from '../server/log.js'
import type { Store } from '../storage/open.js'
import type { ClusterClient } from '../cluster/cluster-client.js'
import type { WorkerInfo } from '../cluster/messages.js'

/** What a gate gets from its caller. */
export type GateDependencies = {
  readonly clock: Clock
  readonly log: Logger
  /** Open; its owner closes it. */
  readonly store: Store
  /** @default those of a gate that serves people */
  readonly intervals?: Intervals
  /** The umask of git processes and of the repositories' folders. @default this process's */
  readonly umask?: number | undefined
  /** Present if this is one of several workers of a gate. */
  readonly worker?: { readonly client: ClusterClient; readonly info: WorkerInfo }
}
