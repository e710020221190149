/**
 * How much longer than promised a test waits, since a machine that is busy with other tests keeps no promise. What is to
 * be found is what never comes, or comes after minutes.
 */
export const SLACK = 8

/** Waits until something holds. @returns whether it did, within a multiple of the time that is promised */
export async function within(promisedMs: number, holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const started = performance.now()
  while (!(await holds())) {
    if (performance.now() - started > promisedMs * SLACK) return false
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return true
}

/** Waits until something holds. @throws Error when it doesn't in 40 seconds */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  if (!(await within(5_000, holds))) throw new Error(`this never held: ${holds.toString()}`)
}
