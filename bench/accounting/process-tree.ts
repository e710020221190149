import { readdirSync, readFileSync } from 'node:fs'
import type { Accounting, CpuAccount } from './account.js'

// What Linux counts in /proc, whatever the machine (USER_HZ).
const TICKS_PER_SECOND = 100
const SIGCHLD = 17

/**
 * Accounts by adding up /proc/PID/stat of a peer's processes with what they have waited for. Children of a process that
 * ignores SIGCHLD are waited for by nobody, so they are missed; {@link CpuAccount.blindSpots} names such processes.
 */
export const processTree: Accounting = {
  way: '/proc/PID/stat of each peer’s processes, with the children that they have waited for (no control group can be made here); clients are not in it',
  open: () => {
    const roots: number[] = []
    let before = 0
    const account: CpuAccount = {
      async opening(start) {
        const known = new Set(childrenOf(process.pid, readAll()))
        const result = await start()
        roots.push(...childrenOf(process.pid, readAll()).filter((pid) => !known.has(pid)))
        before = sum()
        return result
      },
      seconds: () => sum() - before,
      processes: () => descendants(readAll()).map(({ pid }) => pid),
      blindSpots: () => [
        ...new Set(
          descendants(readAll())
            .filter(({ pid }) => ignoresChildren(pid))
            .map(({ name }) => name),
        ),
      ],
    }
    const descendants = (all: readonly Stat[]): Stat[] => {
      const found = all.filter(({ pid }) => roots.includes(pid))
      for (const parent of found) found.push(...all.filter(({ ppid }) => ppid === parent.pid))
      return found
    }
    const sum = (): number => descendants(readAll()).reduce((total, { ticks }) => total + ticks, 0) / TICKS_PER_SECOND
    return account
  },
}

type Stat = { readonly pid: number; readonly ppid: number; readonly name: string; readonly ticks: number }

function readAll(): Stat[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const text = readOrNothing(`/proc/${name}/stat`)
      // proc(5): the name is in parentheses and may hold anything; ppid is field 4, the four times are 14 to 17.
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      if (text === '') return []
      const ticks = fields.slice(11, 15).reduce((total, field) => total + Number(field), 0)
      const comm = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
      return [{ pid: Number(name), ppid: Number(fields[1]), name: comm, ticks }]
    })
}

function childrenOf(pid: number, all: readonly Stat[]): number[] {
  return all.filter(({ ppid }) => ppid === pid).map((child) => child.pid)
}

function ignoresChildren(pid: number): boolean {
  const mask = /^SigIgn:\s+([0-9a-f]+)$/m.exec(readOrNothing(`/proc/${pid}/status`))?.[1] ?? '0'
  return ((BigInt(`0x${mask}`) >> BigInt(SIGCHLD - 1)) & 1n) === 1n
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // It has exited.
    return ''
  }
}
