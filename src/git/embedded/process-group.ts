import { setTimeout as delay } from 'node:timers/promises'

// Killed processes are gone within milliseconds, unless nobody takes note of their end.
const GONE_AFTER = 500
const LOOK_EVERY = 10

/** Signals a process and all that it started. @returns false when all of them are gone already */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

/** Kills a process and all that it started. @returns when nothing of it is at work any more */
export async function killGroup(pid: number | undefined): Promise<void> {
  signalGroup(pid, 'SIGKILL')
  for (let i = 0; i < GONE_AFTER / LOOK_EVERY && signalGroup(pid, 0); i++) await delay(LOOK_EVERY)
}
