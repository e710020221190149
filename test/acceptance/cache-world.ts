import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { Flags } from '../../src/config/config.js'
import type { BackendKind } from '../backends/backend.js'
import { temporaryFolder } from './temporary-folder.js'
import { largeCommit } from './transfers.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

/** What the cache did for the upload-pack requests, in the order of their ends. */
export function cacheResults(world: World, phase: 'advertisement' | 'rpc' = 'rpc'): string[] {
  return world.log
    .split('\n')
    .filter((line) => line.includes('"service":"git-upload-pack"') && line.includes(`"phase":"${phase}"`))
    .flatMap((line) => (JSON.parse(line) as { cache?: string }).cache ?? [])
}

/**
 * Expects that each clone got a pack, and that at least a number of them came from the cache.
 *
 * @param world whose packs are longer than a mebibyte
 */
export function expectPacks(t: Test, world: World, { clones, fromCache }: { clones: number; fromCache: number }): void {
  const packs = world.log
    .split('\n')
    .filter((line) => line.includes('"service":"git-upload-pack"'))
    .map((line) => JSON.parse(line) as { cache?: string; bytes_out: number })
    .filter(({ bytes_out }) => bytes_out > 1_048_576)
  t.equal(packs.length, clones, 'every clone got a pack')
  const cached = packs.filter(({ cache }) => cache === 'hit' || cache === 'coalesced').length
  t.ok(cached >= fromCache, `${cached} of ${packs.length} packs come from the cache, at least ${fromCache} do`)
}

/** Repeats something until a signal, and then twice more: of two clones of one state, the second is a hit. */
export async function repeatUntil(signal: AbortSignal, run: () => Promise<void>): Promise<void> {
  for (let left = 2; left > 0;) {
    if (signal.aborted) left -= 1
    await run()
  }
}

/** The cache folders of the processes of gates. @param pid only those of a process that has reported */
export function cacheFolders(data: string, pid?: number): string[] {
  const root = join(data, 'cache')
  const folders = namesIn(root)
    .filter((name) => /^[0-9a-f]{16}$/.test(name))
    .map((name) => join(root, name))
  return folders.filter((folder) => pid === undefined || pidOf(folder) === pid)
}

/** The files of cached responses. @param data the gates' data folder */
export function cacheFiles(data: string, pid?: number): string[] {
  return cacheFolders(data, pid).flatMap((folder) =>
    namesIn(folder)
      .filter((name) => /^\d+$/.test(name))
      .map((name) => join(folder, name)),
  )
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function pidOf(folder: string): number | undefined {
  const path = join(folder, 'report.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid : undefined
}

/** The total size of those files, except those that disappear meanwhile. */
export function cacheBytes(data: string, pid?: number): number {
  const sizes = cacheFiles(data, pid).map((path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** A gate with a cache and one repository. @param mebibytes of incompressible data in its only commit */
export async function cachedWorld(
  t: Test,
  { kind, flags = {}, mebibytes = 0 }: { kind?: BackendKind; flags?: Flags; mebibytes?: number } = {},
) {
  const world = await createWorld(t, flags, kind)
  await world.grant('alice', 'write', 'team/**')
  const disk = await world.createRepository('team/app')
  const password = await world.token('alice', 'write_repository')
  const remote = world.remote('team/app', password)
  const folder =
    mebibytes === 0 ? await world.git.init('work') : (await largeCommit(world.git, 'work', mebibytes)).folder
  const push = async (...args: string[]) => await world.git.run(['push', '-q', remote, ...args], { cwd: folder })
  await push('HEAD:main')
  return {
    world,
    disk,
    password,
    remote,
    folder,
    push,
    data: join(world.folder, 'data'),
    place: { url: world.url, path: 'team/app', password },
    /** Clones and checks each object. @returns the folder */
    clone: async (...args: string[]) => await cloneComplete(world.git, remote, ...args),
    /** Runs Git in the repository itself, behind the gate. */
    direct: async (...args: string[]) => {
      const said = await world.git.ask(['-c', 'safe.directory=*', '--git-dir', disk, ...args])
      world.adopt(disk)
      return said
    },
    head: async (copy: string) => await world.git.ask(['rev-parse', 'HEAD'], { cwd: copy }),
  }
}

/** A gate without a cache over the same repositories. @param disk that of {@link cachedWorld} */
export async function uncached(t: Test, disk: string) {
  const world = await createWorld(t, { cache: 'off', repos: dirname(dirname(disk)) })
  await world.grant('alice', 'write', 'team/**')
  const password = await world.token('alice', 'write_repository')
  return { world, password, remote: world.remote('team/app', password) }
}

let clones = 0

/** Clones into a new folder. @returns the folder */
export async function cloneAnew(git: World['git'], remote: string, ...args: string[]): Promise<string> {
  return await git.clone(remote, `copy-${(clones += 1)}`, ...args)
}

/** Clones, and lets Git check each object. @returns the folder */
export async function cloneComplete(git: World['git'], remote: string, ...args: string[]): Promise<string> {
  return await cloneAnew(git, remote, ...CHECKED, ...args)
}

// Git checks each object on arrival as `fsck --strict` would, and whether one is missing.
const CHECKED = ['-c', 'fetch.fsckObjects=true'] as const

/** Starts a clone that can be killed with all its processes. It fails if the pack isn't complete. */
export function beginClone(git: World['git'], remote: string, ...args: string[]) {
  const folder = join(git.home, `begun-${(clones += 1)}`)
  const env = { PATH: process.env['PATH'] ?? '', HOME: git.home, GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' }
  // Otherwise, in versions 0 and 1, a few objects are written one by one.
  const command = ['-c', 'fetch.unpackLimit=1', 'clone', '-q', '--bare', ...CHECKED, ...args, remote, folder]
  const child = spawn('git', command, { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  return {
    /** Whether a part of the pack has arrived. */
    isReceiving: () => receivedBy(folder) > 0,
    kill: async () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await ended
    },
    /** Its exit status. */
    ended,
    /** Its standard error. */
    said: () => said,
  }
}

function receivedBy(folder: string): number {
  const packs = join(folder, 'objects', 'pack')
  if (!existsSync(packs)) return 0
  const sizes = readdirSync(packs).map((name) => statSync(join(packs, name), { throwIfNoEntry: false })?.size ?? 0)
  return sizes.reduce((sum, size) => sum + size, 0)
}

// More than stays in memory, so that a file is created.
const HOLD_AFTER_BYTES = 2_000_000

/** A Git whose packs can be held half-way. Give its path to a gate. */
export function heldGit(t: Test) {
  const folder = temporaryFolder(t)
  const [path, held, runs] = [join(folder, 'git'), join(folder, 'held'), join(folder, 'runs')]
  const heldAtStart = join(folder, 'held-at-start')
  const pass = `$n = 0; while (($r = sysread(STDIN, $b, 65536)) > 0) { print $b; $n += $r; while ($n > ${HOLD_AFTER_BYTES} && -e "${held}") { select(undef, undef, undef, 0.02) } }`
  // It ends with Git's status or signal.
  const script = `#!/bin/bash
case " $* " in *" --advertise-refs "*) exec git "$@" ;; *" upload-pack "*) ;; *) exec git "$@" ;; esac
echo run >> ${runs}
while [ -e ${heldAtStart} ]; do sleep 0.02; done
git "$@" | perl -e '$| = 1; ${pass}'
status=\${PIPESTATUS[0]}
[ $status -gt 128 ] && [ $status -lt 160 ] && kill -$((status - 128)) $$
exit $status
`
  writeFileSync(path, script, { mode: 0o755 })
  return {
    path,
    hold: () => writeFileSync(held, ''),
    /** Holds Git, for ref lists as well, before it has read anything of the repository. */
    holdAtStart: () => writeFileSync(heldAtStart, ''),
    release: () => {
      for (const file of [held, heldAtStart]) rmSync(file, { force: true })
    },
    /** How often Git ran for ref lists and packs. */
    runs: () => (existsSync(runs) ? readFileSync(runs, 'utf8').trim().split('\n').length : 0),
  }
}
