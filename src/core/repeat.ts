import { MINUTE } from './clock.js'

/** Something that is done again and again until it is stopped. */
export type Repeated = {
  /** Does it no more. @returns when what is under way has ended */
  stop(): Promise<void>
}

const LONGEST_PAUSE = MINUTE

/**
 * Does something now and again some time after it ended; after a failure less often, up to once a minute.
 *
 * @param intervalMs between an end and the next start
 * @param onError is told of each failure
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
