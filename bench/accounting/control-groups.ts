import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Owner } from '../../test/backends/backend.js'
import type { Accounting, CpuAccount } from './account.js'

/** A hierarchy of control groups that counts CPU time. */
type Hierarchy = {
  readonly name: string
  /** The group that the bench is in. */
  readonly home: string
  /** Reads the seconds that a group has used. */
  readonly seconds: (group: string) => number
}

/**
 * Accounts with a control group for each peer: the kernel adds up every process in it, also those that nobody waits for.
 *
 * @returns `undefined` where no hierarchy lets this process make groups
 */
export function controlGroups(owner: Owner): Accounting | undefined {
  const hierarchy = hierarchies().find(isWritable)
  if (hierarchy === undefined) return undefined
  return {
    way: `a control group for each peer (${hierarchy.name}): all its processes, those that have exited included; clients are not in it`,
    open: (name) => openGroup(owner, hierarchy, name),
  }
}

function openGroup(owner: Owner, { home, seconds }: Hierarchy, name: string): CpuAccount {
  const group = join(home, `gitgate-bench-${process.pid}-${name}`)
  mkdirSync(group)
  owner.teardown(() => removeGroup(group))
  return {
    async opening(start) {
      // A child is born into its parent's group. The bench comes along for a moment, in which nothing is measured.
      enter(group)
      try {
        return await start()
      } finally {
        enter(home)
      }
    },
    seconds: () => seconds(group),
    processes: () => readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number),
    blindSpots: () => [],
  }
}

/** Version 2 first: it needs no controller for this. */
function hierarchies(): Hierarchy[] {
  const mounts = lines('/proc/self/mountinfo').map((line) => {
    const [own = '', filesystem = ''] = line.split(' - ')
    const [, , , root = '', point = ''] = own.split(' ')
    const [type = '', , options = ''] = filesystem.split(' ')
    return { root, point, type, options: options.split(',') }
  })
  const homes = lines('/proc/self/cgroup').map((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    return { controllers: controllers.split(','), path }
  })
  const at = (mount: (typeof mounts)[number], controller: string): string => {
    const path = homes.find(({ controllers }) => controllers.includes(controller))?.path ?? '/'
    // In a container the mount may show a part of the hierarchy only.
    return join(mount.point, mount.root !== '/' && path.startsWith(mount.root) ? path.slice(mount.root.length) : path)
  }
  const second = mounts
    .filter(({ type }) => type === 'cgroup2')
    .map((mount) => ({ name: 'cgroup v2, cpu.stat', home: at(mount, ''), seconds: readCpuStat }))
  const first = mounts
    .filter(({ type, options }) => type === 'cgroup' && options.includes('cpuacct'))
    .map((mount) => ({ name: 'cgroup v1, cpuacct.usage', home: at(mount, 'cpuacct'), seconds: readCpuacct }))
  return [...second, ...first]
}

function isWritable({ home, seconds }: Hierarchy): boolean {
  const group = join(home, `gitgate-bench-${process.pid}-trial`)
  try {
    mkdirSync(group)
    enter(group)
    enter(home)
    return Number.isFinite(seconds(group))
  } catch {
    return false
  } finally {
    try {
      rmdirSync(group)
    } catch {
      // It was never made.
    }
  }
}

function readCpuStat(group: string): number {
  return Number(/^usage_usec (\d+)$/m.exec(readFileSync(join(group, 'cpu.stat'), 'utf8'))?.[1]) / 1e6
}

function readCpuacct(group: string): number {
  return Number(readFileSync(join(group, 'cpuacct.usage'), 'utf8')) / 1e9
}

function enter(group: string): void {
  writeFileSync(join(group, 'cgroup.procs'), String(process.pid))
}

/** A group can go when its last process has; children of a server that was ended may take a moment longer. */
async function removeGroup(group: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      rmdirSync(group)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  throw new Error(`${group} still has processes`)
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}
