/** What one operation took in one round, in seconds. */
export type Sample = {
  readonly wall: number
  /** CPU of all processes of the server and of what it stands before. */
  readonly cpu: number
  /** CPU of the server alone. */
  readonly ownCpu: number
}

/** What was measured of one server, round by round. */
export type Series = {
  readonly subject: string
  /** What one operation is. */
  readonly operation: string
  /** How many of them run at once. */
  readonly atOnce: number
  readonly samples: readonly Sample[]
}

/** What a target asks for. */
export type Bound = { readonly least: number } | { readonly most: number }

/** A target, and what was found; judged by the median. */
export type Verdict = {
  /** Its number in the list of targets, or what it is about. */
  readonly target: number | 'audit' | 'pages'
  readonly claim: string
  readonly unit: '×' | 'µs' | 'ms' | 'MB' | 'runs'
  readonly bound: Bound
  /** Round by round; none where it can't be measured yet. */
  readonly values: readonly number[]
  /** What else one must know. */
  readonly note?: string
  /** Why, where it is not reached: what was tried, and what the profile shows. */
  readonly why?: string
}

/** A line of the plot: how often a second, by clients at once. */
export type Curve = {
  readonly subject: string
  readonly points: readonly { readonly clients: number; readonly rate: number }[]
}

/** What a bench found out. */
export type Findings = {
  readonly series: readonly Series[]
  readonly verdicts: readonly Verdict[]
  readonly curves?: readonly Curve[]
}

/** The least, the median and the most. */
export type Spread = { readonly min: number; readonly median: number; readonly max: number }

/** @returns `undefined` for no values */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const [min, max] = [sorted[0], sorted.at(-1)]
  const [low, high] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle)]]
  if (min === undefined || max === undefined || low === undefined || high === undefined) return undefined
  return { min, median: (low + high) / 2, max }
}

/** Whether a target is reached; `undefined` where that can't be said yet. */
export function isReached({ bound, values }: Verdict): boolean | undefined {
  const median = spreadOf(values)?.median
  if (median === undefined) return undefined
  return 'least' in bound ? median >= bound.least : median <= bound.most
}
