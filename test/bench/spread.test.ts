import t from 'tap'
import { spreadOf } from '../../bench/result.js'

t.test('the median and the range of a few values, of which half is the error', async (t) => {
  t.strictSame(spreadOf([3, 1, 2]), { min: 1, median: 2, max: 3, middle: 2, error: 0.5 })
  t.match(spreadOf([4, 1, 2, 3]), { median: 2.5, middle: 2.5 })
  t.strictSame(spreadOf([7]), { min: 7, median: 7, max: 7, middle: 7, error: 0 })
  t.equal(spreadOf([]), undefined)
})

t.test('values that are all the same have no error, not even zeros', async (t) => {
  t.match(spreadOf(new Array(20).fill(0)), { middle: 0, error: 0 })
})

t.test('an outlier moves neither the middle nor its error by much', async (t) => {
  const values = quantiles(40)
  const [steady, disturbed] = [spreadOf(values), spreadOf(values.with(39, 1_000))]
  t.ok(Math.abs(disturbed!.middle / steady!.middle - 1) < 0.001)
  t.ok(Math.abs(disturbed!.error / steady!.error - 1) < 0.001)
})

t.test('four times as many rounds halve the error', async (t) => {
  const [few, many] = [spreadOf(quantiles(50)), spreadOf(quantiles(200))]
  t.ok(Math.abs(few!.error / many!.error - 2) < 0.1, `${few!.error} to ${many!.error}`)
})

t.test('the error is that of a trimmed mean: 9 % more than that of the mean of normal values', async (t) => {
  const values = quantiles(400)
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - 100) ** 2, 0) / 399)
  const { error } = spreadOf(values)!
  t.ok(Math.abs((error * 100) / ((1.96 * deviation) / 20) - 1.09) < 0.03, `${error}`)
})

/** Values spread as a normal distribution with mean 100 and deviation 10 is, nearly (Tukey's lambda 0.14). */
function quantiles(count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const p = (i + 0.5) / count
    return 100 + (10 * (p ** 0.14 - (1 - p) ** 0.14)) / 0.1975
  })
}
