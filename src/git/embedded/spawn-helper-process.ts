// The git spawn helper: the process that starts git for a gate (spawn-helper.ts). It ends when the gate does, however the gate ends.
import type { ChildProcess } from 'node:child_process'
import { rmdirSync, unlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { endOf, KILL_AFTER_MS, signalGroup, spawnGit, TERMINATE_AFTER_MS } from './git-process.js'
import type { SpawnReport, SpawnRequest } from './spawn-helper.js'

const [socketPath = '', umask] = process.argv.slice(2)
// The gate's own umask is not for repositories (docs/decisions/0010-umask.md).
if (umask !== undefined) process.umask(Number(umask))
const groups = new Set<number>()

// A signal to the gate's process group, or to all of a service, reaches this process, too. But the gate still needs it while active
// transfers finish.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('message', (request: SpawnRequest) => void start(request))
process.on('disconnect', () => {
  removeSocket()
  // With no git left, nothing keeps this process alive.
  if (groups.size === 0) return
  setTimeout(() => signalAll('SIGTERM'), TERMINATE_AFTER_MS)
  setTimeout(() => signalAll('SIGKILL'), KILL_AFTER_MS)
})

function signalAll(signal: NodeJS.Signals): void {
  for (const pid of groups) signalGroup(pid, signal)
}

async function start({ id, program, args, env, output, input }: SpawnRequest): Promise<void> {
  let child: ChildProcess
  const sockets: Socket[] = []
  try {
    sockets.push(...(await Promise.all([output, input].filter((key) => key !== undefined).map(open))))
    const [stdout, stdin] = sockets
    child = spawnGit({ program, args, env }, [stdin ?? 'ignore', stdout, 'pipe'])
  } catch {
    report({ id, kind: 'refused' })
    return
  } finally {
    // Only git is to hold them, so that they close when git exits.
    for (const socket of sockets) socket.destroy()
  }
  const { pid } = child
  if (pid !== undefined) groups.add(pid)
  report({ id, kind: 'started', pid })
  const end = await endOf(child)
  if (pid !== undefined) groups.delete(pid)
  report({ id, kind: 'ended', end })
}

/** Connects to the gate, and authenticates the connection by its key. */
async function open(key: string): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    // What the gate sends is for git.
    socket.pause()
    socket.on('error', reject)
    socket.write(Buffer.from(key, 'base64'), () => resolve(socket))
  })
}

/** Removes the socket of a gate that was killed. */
function removeSocket(): void {
  try {
    unlinkSync(socketPath)
    rmdirSync(dirname(socketPath))
  } catch {
    // The gate has removed it.
  }
}

function report(message: SpawnReport): void {
  if (process.connected) process.send?.(message)
}
