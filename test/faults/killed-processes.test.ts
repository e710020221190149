// kill -9 of each process that serves a request, at each phase of a clone and of a push, while other clients push, clone and
// create tokens. Nothing that a client was told had succeeded may be lost, and nothing may be left behind.
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { heldGit } from '../acceptance/cache-world.js'
import { temporaryFolder } from '../acceptance/temporary-folder.js'
import { beginFetch, beginPush, childrenOf, packOf, processesIn, quarantinesIn } from '../acceptance/transfers.js'
import { until } from '../acceptance/until.js'
import type { FaultOptions } from './fault-world.js'
import { FaultWorld } from './fault-world.js'

type Victim = 'gate' | 'workers' | 'spawn helper' | 'git' | 'upstream'

const WORLDS: readonly { readonly options: FaultOptions; readonly victims: readonly Victim[] }[] = [
  { options: {}, victims: ['gate', 'spawn helper', 'git'] },
  { options: { flags: ['--workers', '2'] }, victims: ['workers', 'gate'] },
  { options: { upstream: true }, victims: ['upstream', 'gate'] },
]

// With a capability that nobody knows, a response doesn't come from the cache.
const UNCACHED = ['x-uncached']

for (const { options, victims } of WORLDS) {
  const name = options.upstream === true ? 'before an upstream' : (options.flags ?? ['one process']).join(' ')
  t.test(name, { timeout: 600_000 }, async (t) => {
    const git = heldGit(t)
    // One slot for fetches, so that a second one queues.
    const world = await FaultWorld.start(t, { ...options, env: { GITGATE_GIT: git.path, GITGATE_GIT_RUNS: '1' } })
    const hooks = heldHooks(t, world)
    for (const victim of victims) {
      await t.test(`kill -9: ${victim}`, { timeout: 300_000 }, async (t) => {
        for (const [phase, reachPhase] of Object.entries(phasesOf(world, git, hooks))) {
          const fault = `${victim} killed, ${phase}`
          const before = world.usage()
          const load = world.startLoad()
          const request = await reachPhase()
          await kill(world, victim)
          git.release()
          hooks.release()
          await request.ended
          await load.stop()
          await world.check(t, fault)
          await world.checkUsage(t, before, fault)
          t.comment(fault)
        }
      })
    }
  })
}

async function kill(world: FaultWorld, victim: Victim): Promise<void> {
  if (victim === 'gate') {
    world.gate.child.kill('SIGKILL')
    await once(world.gate.child, 'close')
    await world.startGate()
  } else if (victim === 'upstream') {
    world.behind?.child.kill('SIGKILL')
    await world.startBehind()
  } else killAll(pidsOf(world, victim))
}

function pidsOf(world: FaultWorld, victim: 'workers' | 'spawn helper' | 'git'): number[] {
  switch (victim) {
    case 'workers':
      return world.workers
    case 'spawn helper':
      return world.spawnHelpers
    case 'git':
      // One that has just started is not in the repository yet.
      return [...processesIn(world.disk), ...world.spawnHelpers.flatMap(childrenOf)]
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has just ended.
    }
  }
}

type Reached = { readonly ended: Promise<unknown> }

/** For each phase of a clone and of a push: brings a request there. */
function phasesOf(
  world: FaultWorld,
  git: ReturnType<typeof heldGit>,
  hooks: ReturnType<typeof heldHooks>,
): Readonly<Record<string, () => Promise<Reached>>> {
  const pack = packOf(world.large)
  const fetch = (): Reached => {
    const ended = beginFetch(world.place, world.large.oid, UNCACHED)
      .then(
        ({ answer }) =>
          new Promise((resolve) =>
            answer
              .on('close', resolve)
              .on('error', () => undefined)
              .resume(),
          ),
      )
      .catch(() => undefined)
    return { ended }
  }
  const push = (bytes: Buffer, isWhole: boolean): Reached => {
    const call = beginPush(world.place, world.large.oid, bytes)
    if (isWhole) call.end()
    world.pushed('refs/heads/pushed', world.large.oid, false)
    return { ended: closed(call) }
  }
  const isRunning = (): boolean => processesIn(world.disk).length > 0
  return {
    'git starts for a fetch': async () => {
      const runs = git.runs()
      git.holdAtStart()
      const request = fetch()
      await until(() => git.runs() > runs)
      return request
    },
    'a fetch waits for its slot': async () => {
      const runs = git.runs()
      git.holdAtStart()
      const first = fetch()
      await until(() => git.runs() > runs)
      const second = fetch()
      return { ended: Promise.all([first.ended, second.ended]) }
    },
    'a pack is sent': async () => {
      git.hold()
      const runs = git.runs()
      const request = fetch()
      await until(() => git.runs() > runs && isRunning())
      return request
    },
    'a push holds its pack back': async () => {
      const request = push(Buffer.alloc(0), false)
      await until(isRunning)
      return request
    },
    'half of a pack has arrived': async () => {
      const request = push(pack.subarray(0, pack.length / 2), false)
      await until(() => quarantinesIn(world.disk).length > 0)
      return request
    },
    'pre-receive runs': async () => {
      hooks.hold('pre-receive')
      const request = push(pack, true)
      await until(() => hooks.isReached('pre-receive'))
      return request
    },
    'post-receive runs': async () => {
      hooks.hold('post-receive')
      const request = push(pack, true)
      await until(() => hooks.isReached('post-receive'))
      return request
    },
  }
}

async function closed(call: ClientRequest): Promise<void> {
  await new Promise<void>((resolve) => {
    call.on('close', resolve)
    call.on('response', (answer) => answer.on('error', () => undefined).resume())
  })
}

/** Hooks of the repository that can be held up. */
function heldHooks(t: Test, world: FaultWorld) {
  const folder = temporaryFolder(t)
  const marks = (hook: string): [string, string] => [join(folder, hook), join(folder, `${hook}-reached`)]
  mkdirSync(join(world.disk, 'hooks'), { recursive: true })
  for (const hook of ['pre-receive', 'post-receive']) {
    const [held, reached] = marks(hook)
    const script = `#!/bin/sh\n[ -e ${held} ] && touch ${reached}\nwhile [ -e ${held} ]; do sleep 0.02; done\n`
    writeFileSync(join(world.disk, 'hooks', hook), script, { mode: 0o755 })
  }
  return {
    hold: (hook: string) => writeFileSync(marks(hook)[0], ''),
    isReached: (hook: string) => existsSync(marks(hook)[1]),
    release: () => {
      for (const file of [...marks('pre-receive'), ...marks('post-receive')]) rmSync(file, { force: true })
    },
  }
}
