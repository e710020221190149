import type { Findings } from '../result.js'

/** Target 6: there is one process yet. */
export function benchWorkers(): Promise<Findings> {
  const claim = 'CPU per request with --workers 2, to that with one'
  const note = 'there is no --workers yet'
  return Promise.resolve({
    series: [],
    verdicts: [{ target: 6, claim, unit: '×', bound: { most: 1.1 }, values: [], note }],
  })
}
