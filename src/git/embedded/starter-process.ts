// The process that starts git for a gate (starter.ts). It ends when the gate does, in whatever way.
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { rmdirSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { signalGroup } from './process-group.js'
import { endOf, spawnGit } from './start-here.js'
import type { StartOrder, StartReport } from './starter.js'

// As where a client leaves: git has its input ended first, and only then is signalled.
const TERMINATE_AFTER = 400
const KILL_AFTER = 800

const path = process.argv[2] ?? ''
const groups = new Set<number>()

// Whoever ends the gate with its process group, or all of a service, signals this process, too; but while the gate lets running
// transfers finish it is needed.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('message', (order: StartOrder) => void start(order))
process.on('disconnect', () => {
  removeSocket()
  // It ends by itself when nothing runs any more.
  if (groups.size === 0) return
  setTimeout(() => signalAll('SIGTERM'), TERMINATE_AFTER)
  setTimeout(() => signalAll('SIGKILL'), KILL_AFTER)
})

function signalAll(signal: NodeJS.Signals): void {
  for (const pid of groups) signalGroup(pid, signal)
}

async function start({ id, program, args, env, output, input }: StartOrder): Promise<void> {
  let child: ChildProcess
  const ends: Socket[] = []
  try {
    ends.push(...(await Promise.all([output, input].filter((word) => word !== undefined).map(open))))
    const [stdout, stdin] = ends
    child = spawnGit({ program, args, env }, [stdin ?? 'ignore', stdout, 'pipe'])
  } catch {
    tell({ id, kind: 'refused' })
    return
  } finally {
    // Git holds them now, and alone, so that it ends them.
    for (const end of ends) end.destroy()
  }
  const { pid } = child
  if (pid !== undefined) groups.add(pid)
  tell({ id, kind: 'begun', pid })
  const end = await endOf(child)
  if (pid !== undefined) groups.delete(pid)
  tell({ id, kind: 'ended', end })
}

/** Connects to the gate, and says which connection it is. */
async function open(word: string): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    const socket = connect(path)
    // What comes is for git.
    socket.pause()
    socket.on('error', reject)
    socket.write(Buffer.from(word, 'base64'), () => resolve(socket))
  })
}

/** A gate that was killed has left it. */
function removeSocket(): void {
  try {
    unlinkSync(path)
    rmdirSync(dirname(path))
  } catch {
    // The gate has removed it.
  }
}

function tell(report: StartReport): void {
  if (process.connected) process.send?.(report)
}
