import { setImmediate } from 'node:timers/promises'

// Long work for one request yields this often, so that other requests wait only a few times as long.
const SLICE_MS = 5

/** Maps items in order, and yields to other requests every 5 ms. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T, index: number) => R): Promise<R[]> {
  const results: R[] = []
  let started = performance.now()
  for (const [index, item] of items.entries()) {
    results.push(map(item, index))
    if (performance.now() - started < SLICE_MS) continue
    await setImmediate()
    started = performance.now()
  }
  return results
}
