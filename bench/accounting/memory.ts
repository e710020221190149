import { readFileSync, readlinkSync } from 'node:fs'
import type { CpuAccount } from './account.js'

const EVERY = 50

/** The maximum memory of a peer's processes, in bytes of resident sets. */
export type PeakMemory = {
  /** The processes of gitgate itself. */
  own: number
  /** git, and whatever else it has started. */
  children: number
}

/** Samples the memory of a peer's processes until it is stopped. */
export function watchMemory(peer: CpuAccount): { stop(): PeakMemory } {
  const peak: PeakMemory = { own: 0, children: 0 }
  const look = (): void => {
    const now: PeakMemory = { own: 0, children: 0 }
    for (const pid of peer.processes()) now[isNode(pid) ? 'own' : 'children'] += residentSet(pid)
    peak.own = Math.max(peak.own, now.own)
    peak.children = Math.max(peak.children, now.children)
  }
  const timer = setInterval(look, EVERY)
  look()
  return {
    stop() {
      clearInterval(timer)
      look()
      return peak
    },
  }
}

function isNode(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === process.execPath
  } catch {
    return false
  }
}

function residentSet(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
