import { readFileSync } from 'node:fs'
import type { CpuAccount } from './account.js'

const EVERY = 20

/** Counts the runs of `git pack-objects` among a peer's processes, by looking often: none of those counted here is short. */
export function countPackRuns(peer: CpuAccount): { stop(): number } {
  const packing = new Set<number>()
  const look = (): void => {
    for (const pid of peer.processes()) if (!packing.has(pid) && isPacking(pid)) packing.add(pid)
  }
  const timer = setInterval(look, EVERY)
  return {
    stop() {
      clearInterval(timer)
      look()
      return packing.size
    },
  }
}

function isPacking(pid: number): boolean {
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    // For a shallow clone an option stands before it.
    return /(^|\/)git$/.test(program) && args.includes('pack-objects')
  } catch {
    return false
  }
}
