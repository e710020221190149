import { setImmediate } from 'node:timers/promises'

// Long work for one request yields this often, so that other requests wait only a few times as long.
const SLICE_MS = 5

/** Maps items in order, and yields to other requests every 5 ms. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T, index: number) => R): Promise<R[]> {
  const results: R[] = []
  const slice = new TimeSlice()
  for (const [index, item] of items.entries()) {
    results.push(map(item, index))
    if (slice.isOver) await slice.next()
  }
  return results
}

/** The 5 ms for which long work runs before it yields to other requests. */
export class TimeSlice {
  #started = performance.now()

  get isOver(): boolean {
    return performance.now() - this.#started >= SLICE_MS
  }

  /** Yields, and begins the next slice. */
  async next(): Promise<void> {
    await setImmediate()
    this.#started = performance.now()
  }
}
