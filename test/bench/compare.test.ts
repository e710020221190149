import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { compareReports, comparisonMarkdown, parseSavedReport, readSavedReport } from '../../bench/report/compare.js'
import type { ComparedRow, SavedReport } from '../../bench/report/compare.js'
import type { Verdict } from '../../bench/result.js'

const CPU = { claim: 'CPU of a request', unit: '×', bound: { most: 2 } } as const
const SAVED = { claim: 'CPU saved', unit: '×', bound: { least: 22 } } as const

t.test('a row became worse when it grew by more than the noise of both runs', async (t) => {
  const [row] = compare({ ...CPU, values: around(4, 0.05) }, { ...CPU, values: around(4.24, 0.05) })
  t.match(row, { claim: 'CPU of a request', outcome: 'worse' })
  t.match([row!.before.toFixed(2), row!.after.toFixed(2)], ['4.00', '4.24'])
  t.ok(row!.noise >= 0.03 && row!.noise < 0.05, `the noise is ${row!.noise}`)
})

t.test('a row became better when it fell by as much', async (t) => {
  t.equal(outcome({ ...CPU, values: around(4.24, 0.05) }, { ...CPU, values: around(4, 0.05) }), 'better')
})

t.test('where a target asks for at least something, less is worse and more is better', async (t) => {
  const [few, many] = [around(20, 0.05), around(21.2, 0.05)]
  t.equal(outcome({ ...SAVED, values: many }, { ...SAVED, values: few }), 'worse')
  t.equal(outcome({ ...SAVED, values: few }, { ...SAVED, values: many }), 'better')
})

t.test('without a target, more is worse', async (t) => {
  const floor = { claim: 'CPU of the floor', unit: '×' } as const
  t.equal(outcome({ ...floor, values: around(2, 0.05) }, { ...floor, values: around(2.2, 0.05) }), 'worse')
})

t.test('the same change is noise where the rounds of either run vary more', async (t) => {
  const [before, after] = [around(4, 0.05), around(4.24, 0.05)]
  t.equal(outcome({ ...CPU, values: around(4, 0.3) }, { ...CPU, values: after }), 'same')
  t.equal(outcome({ ...CPU, values: before }, { ...CPU, values: around(4.24, 0.3) }), 'same')
})

t.test('more rounds make the same change visible', async (t) => {
  const rounds = (count: number): string | undefined =>
    outcome({ ...CPU, values: around(4, 0.15, count) }, { ...CPU, values: around(4.24, 0.15, count) })
  t.equal(rounds(20), 'same')
  t.equal(rounds(400), 'worse')
})

t.test('less than 3 % is noise, however steady the rounds are', async (t) => {
  t.equal(outcome({ ...CPU, values: around(4, 0) }, { ...CPU, values: around(4.11, 0) }), 'same')
  t.equal(outcome({ ...CPU, values: around(4, 0) }, { ...CPU, values: around(4.13, 0) }), 'worse')
})

t.test('a ratio of a few rounds must change by 15 %', async (t) => {
  t.equal(outcome({ ...CPU, values: [4] }, { ...CPU, values: [4.5] }), 'same')
  t.equal(outcome({ ...CPU, values: [4] }, { ...CPU, values: [4.7] }), 'worse')
})

t.test('a ratio of wall times must change by 10 %', async (t) => {
  const wall = { claim: 'wall of a clone', unit: '×', bound: { most: 1.1 } } as const
  t.equal(outcome({ ...wall, values: around(1, 0.01) }, { ...wall, values: around(1.09, 0.01) }), 'same')
  t.equal(outcome({ ...wall, values: around(1, 0.01) }, { ...wall, values: around(1.12, 0.01) }), 'worse')
})

t.test('a time must double, because machines wander and it has no baseline', async (t) => {
  const page = { claim: 'a page', unit: 'ms', bound: { most: 50 } } as const
  t.equal(outcome({ ...page, values: around(10, 0.05) }, { ...page, values: around(19, 0.05) }), 'same')
  t.equal(outcome({ ...page, values: around(10, 0.05) }, { ...page, values: around(21, 0.05) }), 'worse')
  t.equal(outcome({ ...page, values: around(21, 0.05) }, { ...page, values: around(10, 0.05) }), 'better')
})

t.test('one more run of pack-objects is worse', async (t) => {
  const runs = { claim: 'pack-objects', unit: 'runs', bound: { most: 1 } } as const
  t.equal(outcome({ ...runs, values: [1] }, { ...runs, values: [2] }), 'worse')
  t.equal(outcome({ ...runs, values: [1] }, { ...runs, values: [1] }), 'same')
})

t.test('rows that only one run has are named and not judged', async (t) => {
  const [before, after] = [report({ ...CPU, values: [4] }), report({ ...SAVED, values: [20] })]
  const comparison = compareReports(before, after)
  t.strictSame(comparison, { rows: [], onlyBefore: ['CPU of a request'], onlyAfter: ['CPU saved'] })
  const text = comparisonMarkdown(before, after, comparison)
  t.match(text, '- Only before: CPU of a request\n- Only now: CPU saved\n')
  t.match(text, /Nothing became worse\.$/)
})

t.test('a row without values is not judged', async (t) => {
  t.strictSame(compare({ ...CPU, values: [] }, { ...CPU, values: [4] }), [])
})

t.test('the table shows both runs, the change and the noise, and ends with what became worse', async (t) => {
  const before = report({ ...CPU, values: around(4, 0) }, { ...SAVED, values: around(20, 0) })
  const after = report({ ...CPU, values: around(4.2, 0) }, { ...SAVED, values: around(20.1, 0) })
  const lines = comparisonMarkdown(before, after, compareReports(before, after)).split('\n')
  t.equal(lines[0], 'Compared with commit abc1234 of 2026-11-30 10:00 UTC:')
  t.ok(lines.includes('| CPU of a request | 4 × | 4.2 × | +5.0 % | ± 3.0 % | **worse** |'))
  t.ok(lines.includes('| CPU saved | 20 × | 20.1 × | +0.5 % | ± 3.0 % |  |'))
  t.equal(lines.at(-1), 'Became worse: CPU of a request.')
})

t.test('runs with other programs or on another machine say so', async (t) => {
  const [before, after] = [report({ ...CPU, values: [4] }), report({ ...CPU, values: [4] })]
  const newer = { ...after, machine: { ...after.machine, git: '2.43.0' } }
  t.match(
    comparisonMarkdown(before, newer, compareReports(before, newer)),
    'The runs differ in more than the code: git 2.39.5 → 2.43.0.',
  )
  t.notMatch(comparisonMarkdown(before, after, compareReports(before, after)), 'differ')
})

t.test('what --json wrote is read back, without the values that JSON has no number for', async (t) => {
  const file = join(t.testdir(), 'run.json')
  writeFileSync(file, JSON.stringify(report({ ...CPU, values: [4, Number.NaN] })))
  t.strictSame(readSavedReport(file, 'quick').verdicts[0]?.values, [4])
})

t.test('a file that cannot be compared is refused in one line', async (t) => {
  const file = join(t.testdir({ 'run.json': JSON.stringify(report()) }), 'run.json')
  t.throws(() => readSavedReport(`${file}.gone`, 'quick'), {
    message: /^can't read .*run\.json\.gone: ENOENT: [^\n]*$/,
  })
  t.throws(() => parseSavedReport('# Benchmarks', 'run.md'), { message: 'run.md is not JSON' })
  for (const foreign of ['null', '[]', '{"name":"gitgate"}', JSON.stringify({ ...report(), verdicts: [{ claim: 1 }] })])
    t.throws(() => parseSavedReport(foreign, 'x.json'), {
      message: 'x.json was not written by npm run bench -- --json',
    })
  t.throws(() => readSavedReport(file, 'full'), {
    message: `${file} is of a quick run and can't be compared with a full one: add --quick`,
  })
})

type Row = Pick<Verdict, 'claim' | 'unit' | 'bound' | 'values'>

function report(...verdicts: readonly Row[]): SavedReport {
  const versions = { node: 'v20.20.2', git: '2.39.5', nginx: 'nginx/1.22.1' }
  const machine = { processor: 'AMD EPYC', cores: 2, commit: 'abc1234', begun: '2026-11-30T10:00:00.000Z', ...versions }
  return { plan: 'quick', machine, verdicts }
}

function compare(before: Row, after: Row): readonly ComparedRow[] {
  return compareReports(report(before), report(after)).rows
}

function outcome(before: Row, after: Row): string | undefined {
  return compare(before, after)[0]?.outcome
}

/** Values evenly spread around a median. @param spread how far the outermost are from it, as a share */
function around(median: number, spread: number, count = 41): number[] {
  return Array.from({ length: count }, (_, i) => median * (1 + spread * ((2 * i) / (count - 1) - 1)))
}
