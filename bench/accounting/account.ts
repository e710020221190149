/** The CPU time of a peer: of all its processes, those that have exited included. */
export type CpuAccount = {
  /** Has every process that begins meanwhile, and all that it begins later, go on this account. */
  opening<T>(start: () => Promise<T>): Promise<T>
  /** Seconds of CPU, user and system, since the account was opened. */
  seconds(): number
  /** The processes that live now. */
  processes(): number[]
  /** Names those of its processes whose children escape the account. */
  blindSpots(): string[]
}

/** A way to account for CPU time. */
export type Accounting = {
  /** One sentence for the reader of the figures. */
  readonly way: string
  /** @param name of the peer; letters, digits and `-` */
  open(name: string): CpuAccount
}
