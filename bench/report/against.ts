import { middleOf, spreadOf } from '../result.js'
import { significant } from './markdown.js'

/** The two checkouts: the one that `--against` names, and this one. */
export type Side = 'before' | 'after'

/** CPU seconds of one operation, slice by slice; the slices of the same index were measured one right after the other. */
export type PairedSamples = Readonly<Record<Side, readonly number[]>> & {
  readonly operation: string
  /** Whether it counts for the row of all Git requests. */
  readonly isGit: boolean
}

/** What changed from one checkout to the other. */
export type PairedRow = {
  readonly operation: string
  /** Median CPU seconds; none for several operations together. */
  readonly cpu?: Readonly<Record<Side, number>>
  /** The mean ratio, after to before. */
  readonly ratio: number
  /** Half of its 95 % confidence interval, as a share. */
  readonly error: number
  readonly pairs: number
  readonly outcome: 'worse' | 'better' | 'same'
}

// How code is compiled and where memory lies make up to this difference between gates of the same code.
const LEAST_CHANGE = 0.03
// Five rows are judged, and the error does not know that all slices of a process have its compilation in common: among
// 20 rows of the same code, one was 1.3 errors off.
const ERRORS = 1.5
// With a larger error, a change of 5 % may not show.
const LARGE_ERROR = 0.03

/** @returns a row for each operation, and one for all Git requests together, which is the most precise */
export function comparePairs(measured: readonly PairedSamples[]): PairedRow[] {
  const rows = measured.map((samples) => ({
    ...judge(samples.operation, logRatios(samples)),
    cpu: { before: median(samples.before), after: median(samples.after) },
  }))
  const git = measured.filter(({ isGit }) => isGit).flatMap(logRatios)
  return git.length === 0 ? rows : [judge('all Git requests', git), ...rows]
}

/** @param values logarithms of ratios: which side is below must make no difference */
function judge(operation: string, values: readonly number[]): PairedRow {
  const { middle, error } = middleOf(values)
  const least = Math.max(Math.log1p(LEAST_CHANGE), ERRORS * error)
  const outcome = middle > least ? 'worse' : middle < -least ? 'better' : 'same'
  return { operation, ratio: Math.exp(middle), error: Math.expm1(error), pairs: values.length, outcome }
}

function median(values: readonly number[]): number {
  return spreadOf(values)?.median ?? Number.NaN
}

function logRatios({ before, after }: PairedSamples): number[] {
  return after.map((cpu, i) => Math.log(cpu / (before[i] ?? Number.NaN)))
}

/** The table, and what became worse. @param commits what was compared */
export function pairsMarkdown(commits: Readonly<Record<Side, string>>, rows: readonly PairedRow[]): string {
  const worse = rows.filter(({ outcome }) => outcome === 'worse').map(({ operation }) => operation)
  const isNoisy = rows.some(({ error }) => error > LARGE_ERROR)
  return [
    `CPU of commit ${commits.after}, compared with ${commits.before}:`,
    '',
    '| what | before | after | change | error | pairs | |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${cells(row).join(' | ')} |`),
    '',
    ...(isNoisy ? ['The machine is busy: a change of 5 % may not show in rows with an error above 3 %.', ''] : []),
    worse.length === 0 ? 'Nothing became worse.' : `Became worse: ${worse.join('; ')}.`,
  ].join('\n')
}

function cells({ operation, cpu, ratio, error, pairs, outcome }: PairedRow): string[] {
  const [before, after] = [cpu?.before, cpu?.after].map((s) => (s === undefined ? '' : `${significant(s * 1e6)} µs`))
  const change = `${ratio < 1 ? '' : '+'}${((ratio - 1) * 100).toFixed(1)} %`
  const said = outcome === 'same' ? outcome : `**${outcome}**`
  return [operation, before ?? '', after ?? '', change, `± ${(error * 100).toFixed(1)} %`, String(pairs), said]
}
