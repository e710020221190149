import t from 'tap'
import type { PairedRow, PairedSamples } from '../../bench/report/against.js'
import { comparePairs, pairsMarkdown } from '../../bench/report/against.js'

const COMMITS = { before: 'abc1234', after: 'def5678+' }

t.test('an operation became worse, or better, when it changed by more than 1.5 errors', async (t) => {
  t.match(row(1.05, 0.1), { operation: 'ls-refs', pairs: 100, outcome: 'worse' })
  t.equal(row(1 / 1.05, 0.1).outcome, 'better')
  t.match([row(1.05, 0.1).ratio.toFixed(2), row(1 / 1.05, 0.1).ratio.toFixed(2)], ['1.05', '0.95'])
})

t.test('the same change is no verdict where the pairs vary more, until there are more pairs', async (t) => {
  const noisy = row(1.05, 0.6)
  t.equal(noisy.outcome, 'same')
  t.ok(noisy.error > 0.05, `the error is ${noisy.error}`)
  t.equal(row(1.05, 0.6, 2_000).outcome, 'worse')
})

t.test('a change just above the error is no verdict: one of five rows often is, by chance', async (t) => {
  const { error } = row(1, 0.3)
  t.ok(error > 0.03, `the error is ${error}`)
  t.equal(row(1 + 1.4 * error, 0.3).outcome, 'same')
  t.equal(row(1 + 1.6 * error, 0.3).outcome, 'worse')
  t.equal(row(1 / (1 + 1.4 * error), 0.3).outcome, 'same')
})

t.test('less than 3 % is the same, however small the error is', async (t) => {
  t.equal(row(1.029, 0).outcome, 'same')
  t.equal(row(1.031, 0).outcome, 'worse')
  t.equal(row(1 / 1.029, 0).outcome, 'same')
  t.equal(row(1 / 1.031, 0).outcome, 'better')
})

t.test(
  'a machine that slows down during the run changes nothing, because each pair sees the same machine',
  async (t) => {
    const drift = (index: number): number => 1 + index / 50
    const samples = measured('ls-refs', 1.05, 0)
    const slowing = (values: readonly number[]): number[] => values.map((value, i) => value * drift(i))
    const [found] = rows({ ...samples, before: slowing(samples.before), after: slowing(samples.after) })
    t.match([found?.ratio.toFixed(3), found?.error.toFixed(3)], ['1.050', '0.000'])
  },
)

t.test('noise of the same size in both checkouts favours neither', async (t) => {
  const { after, before, ...rest } = measured('ls-refs', 1, 0.9)
  const [there, back] = [rows({ ...rest, before, after })[0], rows({ ...rest, before: after, after: before })[0]]
  t.equal((there!.ratio * back!.ratio).toFixed(6), '1.000000')
})

t.test('all Git requests together have a smaller error than one kind of them, without /-/health', async (t) => {
  const git = ['advertisement', 'ls-refs', 'pair'].map((name) => ({ ...measured(name, 1.05, 0.5), isGit: true }))
  const [together, ...each] = comparePairs([...git, measured('/-/health', 2, 0)])
  t.match(together, { operation: 'all Git requests', pairs: 300 })
  t.equal(together?.ratio.toFixed(2), '1.05')
  t.strictSame(
    each.map(({ operation }) => operation),
    ['advertisement', 'ls-refs', 'pair', '/-/health'],
  )
  for (const { error, operation } of each.slice(0, 3)) t.ok(together!.error < error * 0.6, operation)
})

t.test('the table shows both checkouts, and ends with what became worse', async (t) => {
  const text = pairsMarkdown(COMMITS, [
    ...comparePairs([{ ...measured('ls-refs', 1.05, 0), isGit: true }]),
    row(0.9, 0),
    row(1, 0),
  ])
  t.equal(
    text,
    `CPU of commit def5678+, compared with abc1234:

| what | before | after | change | error | pairs | |
| --- | --- | --- | --- | --- | --- | --- |
| all Git requests |  |  | +5.0 % | ± 0.0 % | 100 | **worse** |
| ls-refs | 200 µs | 210 µs | +5.0 % | ± 0.0 % | 100 | **worse** |
| ls-refs | 200 µs | 180 µs | -10.0 % | ± 0.0 % | 100 | **better** |
| ls-refs | 200 µs | 200 µs | +0.0 % | ± 0.0 % | 100 | same |

Became worse: all Git requests; ls-refs.`,
  )
})

t.test('where the errors are large, the table says that a change may not show', async (t) => {
  const [busy, idle] = [pairsMarkdown(COMMITS, [row(1, 0.6)]), pairsMarkdown(COMMITS, [row(1, 0.1)])]
  t.match(busy, 'The machine is busy: a change of 5 % may not show in rows with an error above 3 %.')
  t.match(busy, /Nothing became worse\.$/)
  t.notMatch(idle, 'busy')
})

/** Pairs whose ratios are evenly spread around one. @param spread the logarithm of the outermost */
function measured(operation: string, ratio: number, spread: number, count = 100): PairedSamples {
  const before = Array.from({ length: count }, () => 200e-6)
  const after = before.map((cpu, i) => cpu * ratio * Math.exp(spread * ((2 * i) / (count - 1) - 1)))
  return { operation, isGit: false, before, after }
}

function rows(...all: readonly PairedSamples[]): readonly PairedRow[] {
  return comparePairs(all)
}

function row(ratio: number, spread: number, count = 100): PairedRow {
  return rows(measured('ls-refs', ratio, spread, count))[0]!
}
