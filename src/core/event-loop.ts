import { setImmediate } from 'node:timers/promises'

// Long work for one request yields after so long: others wait no longer than a few of these.
const SLICE_MS = 5

/** Maps items one after the other, and lets other requests run in between whenever 5 ms have passed. */
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
