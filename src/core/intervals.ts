/** How often a gate looks, and how long it waits, in milliseconds unless the name says otherwise. Tests pass shorter ones. */
export type Intervals = {
  /** Between two looks for jobs and notifications that are due. */
  readonly jobPollMs: number
  /** Until the audit events of reads, and the last use of tokens, are written. */
  readonly flushMs: number
  /** Between two looks for audit events to export; longer after a failure. */
  readonly auditExportMs: number
  /** Between two looks at the security epoch while transfers are active: revocation within two seconds needs a few. */
  readonly epochPollMs: number
  /** Until a client that waits for its slot reads so. */
  readonly firstProgressMs: number
  /** How long the refs that an upstream showed to an account vouch for their commits: a client asks for them at once. */
  readonly shownRefsMs: number
  /** How long a transfer may be slow before it gives its slot back to others that wait. */
  readonly slowTransferMs: number
  /** Below it a transfer is slow. */
  readonly slowTransferBytesPerSecond: number
  /** Without a push to a repository, until its loose refs are packed. */
  readonly refPackingQuietMs: number
  /** Until a client must have sent the headers of a request, and again the body where nobody is authenticated. */
  readonly requestTimeoutMs: number
  /** Between two looks for changed certificates, keys and credentials. */
  readonly filePollMs: number
  /** Between two heartbeats of a worker. One that misses three is killed and replaced. */
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
