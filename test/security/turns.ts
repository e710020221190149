import { setImmediate } from 'node:timers/promises'

/** Runs work beside a loop of its own. @returns how many turns the loop had, and the most CPU time of one in milliseconds */
export async function turnsDuring<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly turns: number; readonly longestMs: number }> {
  let [turns, longestMs, isDone] = [0, 0, false]
  const working = work().finally(() => (isDone = true))
  // Of CPU, because a machine that is busy with other tests lets a process wait.
  for (let before = process.cpuUsage(); !isDone; before = process.cpuUsage()) {
    await setImmediate()
    const { user, system } = process.cpuUsage(before)
    longestMs = Math.max(longestMs, (user + system) / 1_000)
    turns += 1
  }
  return { result: await working, turns, longestMs }
}
