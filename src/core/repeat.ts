import { MINUTE } from './clock.js'

/** A repeated task. */
export type Repeated = {
  /** Stops it. @returns when the current run has ended */
  stop(): Promise<void>
}

const LONGEST_PAUSE = MINUTE

/**
 * Runs a task now, and again some time after each run ends. After failures it runs less often, down to once a minute.
 *
 * @param intervalMs time between the end of a run and the next start
 * @param onError called for each failure
 */
export function repeat(intervalMs: number, work: () => Promise<void>, onError: (error: unknown) => void): Repeated {
  let isStopped = false
  let pause = intervalMs
  let timer: NodeJS.Timeout | undefined
  const once = async (): Promise<void> => {
    try {
      await work()
      pause = intervalMs
    } catch (error) {
      pause = Math.min(pause * 2, LONGEST_PAUSE)
      onError(error)
    }
    if (!isStopped) timer = setTimeout(again, pause).unref()
  }
  const again = (): void => {
    underWay = once()
  }
  let underWay = once()
  return {
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await underWay
    },
  }
}
