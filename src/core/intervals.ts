/** Polling intervals and timeouts, in milliseconds unless the name says otherwise. Tests pass shorter ones. */
export type Intervals = {
  /** How often the gate looks for due jobs and notifications. */
  readonly jobPollMs: number
  /** How long audit events of reads, and the last use of tokens, wait to be written. */
  readonly flushMs: number
  /** How often the gate looks for audit events to export; less often after a failure. */
  readonly auditExportMs: number
  /** How often the security epoch is read while transfers are active. Revocation within two seconds needs a few reads. */
  readonly epochPollMs: number
  /** How long a client waits for a slot before it gets a progress message. */
  readonly firstProgressMs: number
  /** How long the refs that an upstream showed to an account allow it to fetch their commits; clients ask immediately. */
  readonly shownRefsMs: number
  /** How long a transfer may be slow before it gives its slot to others that wait. */
  readonly slowTransferMs: number
  /** A slower transfer counts as slow, in bytes a second. */
  readonly slowTransferBytesPerSecond: number
  /** How long a repository must get no push before its loose refs are packed. */
  readonly refPackingQuietMs: number
  /** How long a client may take to send headers, and again for the body until it is authenticated. */
  readonly requestTimeoutMs: number
  /** Between two looks for changed certificates, keys and credentials. */
  readonly filePollMs: number
  /** Interval between a worker's heartbeats. A worker that misses three is killed and replaced. */
  readonly heartbeatMs: number
}

export const DEFAULT_INTERVALS: Intervals = {
  jobPollMs: 1_000,
  flushMs: 500,
  auditExportMs: 500,
  epochPollMs: 500,
  firstProgressMs: 1_000,
  shownRefsMs: 10_000,
  slowTransferMs: 30_000,
  slowTransferBytesPerSecond: 32_000,
  refPackingQuietMs: 2_000,
  requestTimeoutMs: 20_000,
  filePollMs: 5_000,
  heartbeatMs: 2_000,
}
