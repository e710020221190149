/** How much a run does. */
export type Plan = {
  readonly name: 'full' | 'quick'
  /** The benches that run unless `--only` names others. @default all */
  readonly benches?: readonly string[]
  /** Whether only nginx and the gate as it comes are measured, and of the toll only the small clone. */
  readonly hotPathOnly: boolean
  /** Rounds in which walls and rates are compared side by side. */
  readonly rounds: number
  /** Rounds of ls-remote. */
  readonly lsRemoteRounds: number
  /** Rounds for servers that no target names, and for what varies little. */
  readonly fewRounds: number
  /** Seconds for which a rate is measured. */
  readonly rateSeconds: number
  /** Commits of the repository of the storm; 20,000 are about 117 MB. */
  readonly stormCommits: number
  /** Clones of a storm. */
  readonly stormClones: number
  /** MiB of a push whose wall is compared. */
  readonly pushMebibytes: number
  /** MiB of a transfer whose CPU is compared. */
  readonly transferMebibytes: number
  /** The two numbers of tokens whose look-up is compared. */
  readonly tokens: readonly [few: number, many: number]
  /** Events in the audit log. */
  readonly auditRows: number
  /** Tokens of the account whose pages are requested. */
  readonly pageTokens: number
  /** MiB of each transfer while memory is watched. */
  readonly memoryMebibytes: number
  /** Transfers at once while memory is watched. */
  readonly memoryTransfers: number
  /** Clones at once while the event loop is watched. */
  readonly loopClones: number
  /** Concurrent clients, for the plot. */
  readonly concurrency: readonly number[]
}

/** What the figures in the documentation are made of: about half an hour. */
export const FULL: Plan = {
  name: 'full',
  hotPathOnly: false,
  rounds: 15,
  lsRemoteRounds: 15,
  fewRounds: 3,
  rateSeconds: 1,
  stormCommits: 20_000,
  stormClones: 24,
  pushMebibytes: 100,
  transferMebibytes: 256,
  tokens: [1_000, 1_000_000],
  auditRows: 1_000_000,
  pageTokens: 10_000,
  memoryMebibytes: 1_024,
  memoryTransfers: 20,
  loopClones: 50,
  concurrency: [1, 2, 4, 8, 16, 32],
}

/** To see in about three minutes whether a change made the hot path slower. */
export const QUICK: Plan = {
  name: 'quick',
  benches: ['hot-path', 'ls-remote', 'toll'],
  hotPathOnly: true,
  rounds: 20,
  lsRemoteRounds: 8,
  fewRounds: 1,
  rateSeconds: 0.4,
  stormCommits: 2_000,
  stormClones: 8,
  pushMebibytes: 20,
  transferMebibytes: 32,
  tokens: [1_000, 100_000],
  auditRows: 50_000,
  pageTokens: 10_000,
  memoryMebibytes: 32,
  memoryTransfers: 20,
  loopClones: 50,
  concurrency: [1, 4, 16],
}
