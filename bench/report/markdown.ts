import type { Bound, Sample, Series, Verdict } from '../result.js'
import { isReached, spreadOf } from '../result.js'
import type { Report } from './report.js'

const QUICK_WARNING =
  'This was a **quick run**: only the hot path is measured as in a full run. Everything else is smaller, with fewer rounds.'

/** The tables of a run in Markdown, ready to be pasted. */
export function markdown(report: Report): string {
  const { machine, accounting, blindSpots } = report
  const facts = [
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    `Node.js ${machine.node}, git ${machine.git}, ${machine.nginx}, ${machine.apache}`,
    `commit ${machine.commit}, ${machine.begun.slice(0, 16).replace('T', ' ')} UTC, load before ${machine.loadBefore.toFixed(1)}`,
  ]
  const blind =
    blindSpots.length === 0
      ? []
      : [`CPU of children is **missed** for: ${blindSpots.join(', ')} (they ignore SIGCHLD).`, '']
  return [
    `A ${report.plan} run of ${Math.round(report.seconds)} s on loopback: ${facts.join('; ')}.`,
    '',
    `CPU: ${accounting}.`,
    '',
    ...(report.plan === 'quick' ? [QUICK_WARNING, ''] : []),
    ...blind,
    ...verdictTable(report.verdicts),
    '',
    ...seriesTable(report.series),
    '',
    ...curveTable(report),
  ]
    .join('\n')
    .trimEnd()
}

function verdictTable(verdicts: readonly Verdict[]): string[] {
  if (verdicts.length === 0) return []
  const notes = verdicts.flatMap((verdict) => {
    const { target, claim, note, why } = verdict
    const said = [note, isReached(verdict) === false ? why : undefined].filter((text) => text !== undefined)
    return said.length === 0 ? [] : [`- Target ${target}, ${claim}: ${said.join('; ')}.`]
  })
  return [
    '| target | what | wanted | min | median | ± | max | rounds | reached |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...verdicts.map((verdict) => `| ${verdictCells(verdict).join(' | ')} |`),
    ...(notes.length === 0 ? [] : ['', ...notes]),
  ]
}

function verdictCells(verdict: Verdict): string[] {
  const { target, claim, unit, bound, values } = verdict
  const spread = spreadOf(values)
  const { min, median, max } = spread ?? { min: Number.NaN, median: Number.NaN, max: Number.NaN }
  const error = spread === undefined || values.length === 1 ? '' : `${(spread.error * 100).toFixed(1)} %`
  const figures = [significant(min), significant(median), error, significant(max)]
  return [String(target), claim, wanted(bound, unit), ...figures, String(values.length), reached(verdict)]
}

function wanted(bound: Bound | undefined, unit: string): string {
  if (bound === undefined) return ''
  return 'least' in bound ? `≥ ${bound.least} ${unit}` : `≤ ${bound.most} ${unit}`
}

function reached(verdict: Verdict): string {
  const isIt = isReached(verdict)
  return isIt === undefined ? '' : isIt ? '**yes**' : 'no'
}

function seriesTable(series: readonly Series[]): string[] {
  if (series.length === 0) return []
  return [
    '| operation | server | at once | a second | ms each | CPU ms each | of it the server alone | rounds |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...series.map(({ operation, subject, atOnce, samples }) => {
      const median = (pick: (sample: Sample) => number): number => spreadOf(samples.map(pick))?.median ?? Number.NaN
      // Of what runs beside others, the wall says how often it comes to its end.
      const wall = median((sample) => sample.wall)
      const [cpu, own] = [median((sample) => sample.cpu), median((sample) => sample.ownCpu)]
      const cells = [
        significant(1 / wall),
        significant(wall * atOnce * 1e3),
        significant(cpu * 1e3),
        significant(own * 1e3),
      ]
      return `| ${[operation, subject, atOnce, ...cells, samples.length].join(' | ')} |`
    }),
  ]
}

function curveTable({ curves }: Report): string[] {
  const [first] = curves
  if (first === undefined) return []
  return [
    `| clones a second, clients at once | ${first.points.map(({ clients }) => clients).join(' | ')} |`,
    `|${' --- |'.repeat(first.points.length + 1)}`,
    ...curves.map(
      ({ subject, points }) => `| ${[subject, ...points.map(({ rate }) => significant(rate))].join(' | ')} |`,
    ),
  ]
}

/** As many digits as mean something. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return '–'
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
}
