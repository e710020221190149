// Long work for one request yields this often, so that other requests wait only a few times as long.
const SLICE_MS = 5

/** Maps items in order, and yields to other requests every 5 ms. */
export async function mapInSlices<T, R>(items: readonly T[], map: (item: T, index: number) => R): Promise<R[]> {
  const results: R[] = []
  if (waiting.length > 0) await nextTurn()
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
    await nextTurn()
    this.#started = performance.now()
  }
}

/** Long work that waits for its next slice. Of all of it, one gets a slice in each turn of the event loop. */
const waiting: (() => void)[] = []

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve)
    if (waiting.length === 1) setImmediate(takeTurn)
  })
}

function takeTurn(): void {
  waiting.shift()?.()
  if (waiting.length > 0) setImmediate(takeTurn)
}
