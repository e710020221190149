/** What a reading says of the time at which the repository changed last. */
export type LastChange = {
  /** The newest time of change (ctime) among the files, in nanoseconds. */
  readonly newest: bigint
  /** Whether the file system keeps whole seconds only. */
  readonly inWholeSeconds: boolean
  /** When the reading began, in milliseconds. */
  readonly readAt: number
}

/** Whether a later change would show in the stamps: it does, it will soon, or not soon enough to wait for. */
export type Settling =
  | { readonly kind: 'settled' }
  | { readonly kind: 'soon'; readonly milliseconds: number }
  | { readonly kind: 'unsettled' }

// The kernel's clock for files ticks each 1 to 10 ms: of two changes within a tick, the second leaves no mark.
const TICK = 20
// Of two changes within a second, nothing tells (194 of 200 were missed); FAT counts in twos.
const WHOLE_SECONDS = 2_100
const NANOSECONDS = 1_000_000n

/**
 * The racy rule, as Git has it for its index: a stamp that was still young when it was read may stand for two contents.
 *
 * It goes by ctime alone, which nobody can set. Where stamps have whole seconds nobody waits: two seconds for every
 * request after a push would cost more than the cache is worth, so until then the repository is served as without it.
 */
export function settling({ newest, inWholeSeconds, readAt }: LastChange): Settling {
  const age = Number(BigInt(readAt) * NANOSECONDS - newest) / Number(NANOSECONDS)
  const left = (inWholeSeconds ? WHOLE_SECONDS : TICK) - age
  if (left <= 0) return { kind: 'settled' }
  // A stamp in the future: the clock was set back, and how long that lasts nobody knows.
  if (inWholeSeconds || left > 2 * TICK) return { kind: 'unsettled' }
  return { kind: 'soon', milliseconds: Math.ceil(left) }
}
