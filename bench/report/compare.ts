import { readFileSync } from 'node:fs'
import { Type } from 'typebox'
import { Check } from 'typebox/value'
import type { Verdict } from '../result.js'
import { FEW_VALUES, spreadOf } from '../result.js'
import type { Machine } from './machine.js'
import { significant } from './markdown.js'
import type { Report } from './report.js'

/** What a comparison needs of a run. */
export type SavedReport = {
  readonly plan: Report['plan']
  readonly machine: Pick<Machine, 'processor' | 'cores' | 'node' | 'git' | 'nginx' | 'commit' | 'begun'>
  readonly verdicts: readonly Row[]
}

type Row = Pick<Verdict, 'claim' | 'unit' | 'bound' | 'values'>

/** The same in the file that `--json` writes. */
const SCHEMA = Type.Object({
  plan: Type.Union([Type.Literal('full'), Type.Literal('quick')]),
  machine: Type.Object({
    processor: Type.String(),
    cores: Type.Number(),
    node: Type.String(),
    git: Type.String(),
    nginx: Type.String(),
    commit: Type.String(),
    begun: Type.String(),
  }),
  verdicts: Type.Array(
    Type.Object({
      claim: Type.String(),
      unit: Type.Union([
        Type.Literal('×'),
        Type.Literal('µs'),
        Type.Literal('ms'),
        Type.Literal('MB'),
        Type.Literal('runs'),
      ]),
      bound: Type.Optional(Type.Union([Type.Object({ least: Type.Number() }), Type.Object({ most: Type.Number() })])),
      // JSON has no NaN; it writes null.
      values: Type.Array(Type.Union([Type.Number(), Type.Null()])),
    }),
  ),
})

/** A row that both runs have. */
export type ComparedRow = {
  readonly claim: string
  readonly unit: Verdict['unit']
  /** The means of the middle halves. */
  readonly before: number
  readonly after: number
  /** The change that these two runs can't tell from chance, as a share. */
  readonly noise: number
  readonly outcome: 'worse' | 'better' | 'same'
}

export type Comparison = {
  readonly rows: readonly ComparedRow[]
  readonly onlyBefore: readonly string[]
  readonly onlyAfter: readonly string[]
}

// Smaller changes also come from run to run, however many rounds a run has: how code was compiled, where memory lies. Times
// have no baseline in their own run, and the same machine is twice as slow on some days.
const LEAST_NOISE: Readonly<Record<Verdict['unit'], number>> = { '×': 0.03, µs: 1, ms: 1, MB: 0.1, runs: 0 }
const NOISE_OF_FEW_VALUES = 0.15
// The ratio of two wall times also depends on how busy the host is: two runs of the same code differed by 5.0 %, where their
// rounds allowed 4.7 %.
const NOISE_OF_WALL_TIME = 0.1

/** @throws Error with one line for the user when the file can't be compared with a run of this plan */
export function readSavedReport(file: string, plan: 'full' | 'quick'): SavedReport {
  const report = parseSavedReport(readText(file), file)
  if (report.plan === plan) return report
  const advice = plan === 'full' ? 'add --quick' : 'leave out --quick'
  throw new Error(`${file} is of a ${report.plan} run and can't be compared with a ${plan} one: ${advice}`)
}

/** @param file its name, for the message @throws Error with one line for the user */
export function parseSavedReport(text: string, file: string): SavedReport {
  const report = parseJson(text, file)
  if (!Check(SCHEMA, report)) throw new Error(`${file} was not written by npm run bench -- --json`)
  const verdicts = report.verdicts.map((row) => ({ ...row, values: row.values.filter((value) => value !== null) }))
  return { ...report, verdicts }
}

/** Compares every row that two runs have in common. */
export function compareReports(before: SavedReport, after: SavedReport): Comparison {
  const earlier = new Map(before.verdicts.map((row) => [row.claim, row]))
  const claims = after.verdicts.map(({ claim }) => claim)
  return {
    rows: after.verdicts.flatMap((row) => compareRow(earlier.get(row.claim), row) ?? []),
    onlyBefore: [...earlier.keys()].filter((claim) => !claims.includes(claim)),
    onlyAfter: claims.filter((claim) => !earlier.has(claim)),
  }
}

function compareRow(before: Row | undefined, after: Row): ComparedRow | undefined {
  const [from, to] = [spreadOf(before?.values ?? []), spreadOf(after.values)]
  if (before === undefined || from === undefined || to === undefined) return undefined
  const { claim, unit, bound } = after
  const isFew = Math.min(before.values.length, after.values.length) < FEW_VALUES
  const least = isFew && unit === '×' ? NOISE_OF_FEW_VALUES : LEAST_NOISE[unit]
  const noise = Math.max(least, claim.startsWith('wall ') ? NOISE_OF_WALL_TIME : 0, from.error + to.error)
  const moreIsBetter = bound !== undefined && 'least' in bound
  const factor = moreIsBetter ? from.middle / to.middle : to.middle / from.middle
  const outcome = factor > 1 + noise ? 'worse' : 1 / factor > 1 + noise ? 'better' : 'same'
  return { claim, unit, before: from.middle, after: to.middle, noise, outcome }
}

/** The table, what became worse, and what only one of the runs has. */
export function comparisonMarkdown(before: SavedReport, after: SavedReport, comparison: Comparison): string {
  const { rows, onlyBefore, onlyAfter } = comparison
  const worse = rows.filter(({ outcome }) => outcome === 'worse')
  return [
    `Compared with commit ${before.machine.commit} of ${before.machine.begun.slice(0, 16).replace('T', ' ')} UTC:`,
    '',
    '| what | before | after | change | noise | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${cells(row).join(' | ')} |`),
    '',
    ...differences(before, after),
    ...onlyBefore.map((claim) => `- Only before: ${claim}`),
    ...onlyAfter.map((claim) => `- Only now: ${claim}`),
    ...(onlyBefore.length + onlyAfter.length === 0 ? [] : ['']),
    worse.length === 0 ? 'Nothing became worse.' : `Became worse: ${worse.map(({ claim }) => claim).join('; ')}.`,
  ].join('\n')
}

function cells({ claim, unit, before, after, noise, outcome }: ComparedRow): string[] {
  const change = (after / before - 1) * 100
  const said = outcome === 'same' ? '' : `**${outcome}**`
  const figures = [before, after].map((value) => `${significant(value)} ${unit}`)
  return [claim, ...figures, `${change < 0 ? '' : '+'}${change.toFixed(1)} %`, `± ${(noise * 100).toFixed(1)} %`, said]
}

/** Ratios also depend on these. */
function differences(before: SavedReport, after: SavedReport): string[] {
  const keys = ['processor', 'cores', 'node', 'git', 'nginx'] as const
  const changed = keys.filter((key) => before.machine[key] !== after.machine[key])
  const list = changed.map((key) => `${key} ${before.machine[key]} → ${after.machine[key]}`)
  return list.length === 0 ? [] : [`The runs differ in more than the code: ${list.join(', ')}.`, '']
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`can't read ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${file} is not JSON`, { cause: error })
  }
}
