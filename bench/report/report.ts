import type { Curve, Series, Verdict } from '../result.js'
import type { Machine } from './machine.js'

/** All that a run found out; this is what `--json` writes. */
export type Report = {
  readonly plan: 'full' | 'quick'
  readonly machine: Machine
  /** How CPU was accounted for. */
  readonly accounting: string
  /** Processes whose children could not be accounted for. */
  readonly blindSpots: readonly string[]
  readonly seconds: number
  readonly verdicts: readonly Verdict[]
  readonly series: readonly Series[]
  readonly curves: readonly Curve[]
}
