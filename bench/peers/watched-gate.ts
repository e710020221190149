// The gate, which tells how late its event loop runs: it writes the delays, in milliseconds, into the file that
// BENCH_DELAYS names when it is sent SIGUSR2, and begins anew.
import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

// The fewer milliseconds, the finer; they are in what is measured.
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
process.on('SIGUSR2', () => {
  const file = process.env['BENCH_DELAYS'] ?? ''
  const [p50, p99, max] = [delays.percentile(50), delays.percentile(99), delays.max]
  writeFileSync(`${file}.new`, JSON.stringify({ p50: p50 / 1e6, p99: p99 / 1e6, max: max / 1e6 }))
  renameSync(`${file}.new`, file)
  delays.reset()
})

await import(new URL('../../../bin/gitgate.js', import.meta.url).href)
