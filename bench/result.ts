/** What one operation took in one round, in seconds. */
export type Sample = {
  readonly wall: number
  /** CPU of all processes of the server and of its upstream. */
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

/** A target, and what was found; judged by the median. Without a bound it is there for `--compare`, and less is better. */
export type Verdict = {
  /** Its number in the list of targets, or what it is about. */
  readonly target: number | 'audit' | 'pages'
  readonly claim: string
  readonly unit: '×' | 'µs' | 'ms' | 'MB' | 'runs'
  readonly bound?: Bound
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

/** The least, the median and the most; and the mean of the middle half, with its error. */
export type Spread = {
  readonly min: number
  readonly median: number
  readonly max: number
  /** Hardly more sensitive to outliers than the median, and a fifth more precise. */
  readonly middle: number
  /** Half of the 95 % confidence interval of `middle`, as a share of it; half of the range where there are few values. */
  readonly error: number
}

/** Fewer values say little about their own spread. */
export const FEW_VALUES = 8

/** @returns `undefined` for no values */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) return undefined
  const centre = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(centre)] ?? min) + (sorted[Math.ceil(centre)] ?? max)) / 2
  const { middle, error } = middleOf(values)
  return { min, median, max, middle, error: error === 0 ? 0 : error / middle }
}

/** The mean of the middle half, and its error: not as a share of it, but in the unit of the values. */
export function middleOf(values: readonly number[]): Pick<Spread, 'middle' | 'error'> {
  const sorted = values.toSorted((a, b) => a - b)
  const range = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0)
  return { middle: mean(middleHalf(sorted)), error: sorted.length < FEW_VALUES ? range / 2 : errorOfMiddle(sorted) }
}

/** The error of a trimmed mean, by the variance of the winsorized values (Tukey and McLaughlin 1963). */
function errorOfMiddle(sorted: readonly number[]): number {
  const half = middleHalf(sorted)
  const [low = 0, high = 0] = [half[0], half.at(-1)]
  const winsorized = sorted.map((value) => Math.min(Math.max(value, low), high))
  const centre = mean(winsorized)
  const variance = winsorized.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (sorted.length - 1)
  return (studentsT95(half.length - 1) * Math.sqrt(variance * sorted.length)) / half.length
}

function middleHalf(sorted: readonly number[]): readonly number[] {
  const trimmed = Math.floor(sorted.length / 4)
  return sorted.slice(trimmed, sorted.length - trimmed)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Within 1 % of the quantile from 4 degrees of freedom on. */
function studentsT95(degreesOfFreedom: number): number {
  return 1.96 + 2.4 / degreesOfFreedom + 3 / degreesOfFreedom ** 2
}

/** Whether a target is reached; `undefined` where that can't be said yet. */
export function isReached({ bound, values }: Verdict): boolean | undefined {
  const median = spreadOf(values)?.median
  if (median === undefined || bound === undefined) return undefined
  return 'least' in bound ? median >= bound.least : median <= bound.most
}
