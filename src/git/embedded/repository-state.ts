import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { lstatSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { hasSystemCode } from '../../core/errors.js'
import type { Freshness, RefList, RepositoryState } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { GitProgram } from './git-program.js'
import { readRefs } from './repository-refs.js'
import type { RepositoryFolder } from './repository-folder.js'
import { RunCoalescer } from './run-coalescer.js'

// A repository that changes even more often is served without the cache; its clients don't wait.
const MAX_READINGS = 5
// Some 100 bytes each.
const MAX_REFS_IN_MEMORY = 500_000

type KnownRefs = { readonly fingerprint: string; readonly list: RefList }

/** What the embedded server knows about the state of its repositories. It reads their files, so any program may change them. */
export class EmbeddedFreshness implements Freshness {
  readonly #git: GitProgram
  readonly #folder: RepositoryFolder
  readonly #readings = new RunCoalescer<RepositoryPath, StateReading | undefined>()
  readonly #pushCounts = new Map<RepositoryPath, number>()
  readonly #lists = new Map<string, Promise<RefList | undefined>>()
  readonly #known = new LRUCache<RepositoryPath, KnownRefs>({
    maxSize: MAX_REFS_IN_MEMORY,
    sizeCalculation: ({ list }) => list.ids.size + 1,
  })

  constructor(git: GitProgram, folder: RepositoryFolder) {
    this.#git = git
    this.#folder = folder
  }

  async state(repository: RepositoryPath): Promise<RepositoryState | undefined> {
    const stable = await whenStable(() => this.#read(repository))
    return stable?.state
  }

  async objects(repository: RepositoryPath): Promise<string | undefined> {
    const stable = await whenStable(() => Promise.resolve(readObjects(this.#folder.locate(repository))))
    return stable?.signature
  }

  changed(repository: RepositoryPath): void {
    this.#pushCounts.set(repository, (this.#pushCounts.get(repository) ?? 0) + 1)
  }

  async refs(repository: RepositoryPath, state: RepositoryState): Promise<RefList | undefined> {
    const { fingerprint } = state
    const known = this.#known.get(repository)
    if (known?.fingerprint === fingerprint) return known.list
    // Any caller's run serves: it returns the list of this fingerprint, or none.
    const running = this.#lists.get(fingerprint)
    if (running !== undefined) return await running
    const list = this.#list(repository, fingerprint).finally(() => this.#lists.delete(fingerprint))
    this.#lists.set(fingerprint, list)
    return await list
  }

  async #list(repository: RepositoryPath, fingerprint: string): Promise<RefList | undefined> {
    const list = await readRefs(this.#git, this.#folder.locate(repository))
    // No racy-timestamp check: an equal fingerprint has passed it.
    const after = list === undefined ? undefined : await this.#read(repository)
    if (list === undefined || after?.state.fingerprint !== fingerprint) return undefined
    this.#known.set(repository, { fingerprint, list })
    return list
  }

  async #read(repository: RepositoryPath): Promise<StateReading | undefined> {
    return await this.#readings.run(repository, async () => {
      // Before the files are read, so that a push that ends meanwhile gives the next reading another fingerprint.
      const pushes = this.#pushCounts.get(repository) ?? 0
      const reading = await readRepositoryState(this.#folder.locate(repository))
      if (reading === undefined) return undefined
      const { state } = reading
      return { ...reading, state: { ...state, fingerprint: `${state.fingerprint}.${pushes}` } }
    })
  }
}

/** Reads until no change since the reading can have gone unseen. @returns `undefined` if that takes too long */
async function whenStable<T extends { readonly lastChange: LastChange }>(
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (let reading = 0; reading < MAX_READINGS; reading++) {
    const found = await read()
    if (found === undefined) return undefined
    const check = checkRacyTimestamp(found.lastChange)
    switch (check.kind) {
      case 'stable':
        return found
      case 'stable-soon':
        await delay(check.waitMs)
        break
      case 'racy':
        return undefined
    }
  }
  return undefined
}

/** A repository's state as its files show it, stable or not. */
type StateReading = {
  readonly state: RepositoryState
  readonly lastChange: LastChange
}

/** The signature of the folders that hold a repository's objects. */
type ObjectsReading = { readonly signature: string; readonly lastChange: LastChange }

/** When the newest of the files that were read has changed. */
export type LastChange = {
  /** The newest ctime. */
  readonly ctimeNs: bigint
  /** Whether the file system keeps whole seconds only. */
  readonly hasWholeSeconds: boolean
  /** When the reading began, in milliseconds since 1970. */
  readonly readAt: number
}

/** Whether any later change would show in the timestamps: it would; it will, after a short wait; or not soon enough to wait. */
export type RacyCheck =
  { readonly kind: 'stable' } | { readonly kind: 'stable-soon'; readonly waitMs: number } | { readonly kind: 'racy' }

const CONFIGURATION_FILES = ['config', 'config.worktree', 'shallow', 'info/grafts', 'objects/info/alternates']
const REF_FILES = ['HEAD', 'packed-refs', 'reftable/tables.list']
// A file that was created and deleted between two readings shows only in its folder's timestamps.
const FOLDERS = ['info', 'objects/info', 'reftable']
// Takes a few milliseconds. Then other requests get their turn, however many refs there are.
const STATS_PER_TURN = 256
// Loose objects by the first byte of their names, and packs. None comes or goes without changing its folder.
const OBJECT_FOLDER = /^(?:[0-9a-f]{2}|pack)$/
// The kernel's clock for files ticks every 1 to 10 ms. Of two changes within a tick, the second leaves no trace.
const CLOCK_TICK_MS = 20
// Of two changes within a second, a file system with whole seconds shows one (194 of 200 were missed). FAT counts in twos.
const WHOLE_SECONDS_MS = 2_100
const NS_PER_MS = 1_000_000n
const NS_PER_SECOND = 1_000_000_000n

/**
 * Reads everything that a response about a repository can depend on: device, inode, size, mtime and ctime of each file.
 *
 * This is no snapshot, and need not be one. A response is cached only if the readings before and after it are equal, and a reading
 * that mixes two states equals no other, since a timestamp that has changed never returns.
 *
 * @param folder the absolute path of the bare repository
 * @returns `undefined` if nothing about the repository may be cached: it is gone or unreadable, its responses depend on other files
 *   (an included configuration, a symbolic link, a `commondir`), or its file system's timestamps are unreliable
 */
async function readRepositoryState(folder: string): Promise<StateReading | undefined> {
  try {
    return await readState(folder)
  } catch (error) {
    // With a system error, git itself runs and gives the reason. Anything else is our mistake.
    if (error instanceof Uncacheable || (error instanceof Error && 'syscall' in error)) return undefined
    throw error
  }
}

/**
 * Reads a signature that changes when objects come or go, with up to 258 stat calls of some 5 µs.
 *
 * @param folder the absolute path of the bare repository
 * @returns `undefined` if that can't be told: there are objects elsewhere (alternates), or the folders can't be read
 */
function readObjects(folder: string): ObjectsReading | undefined {
  const readAt = Date.now()
  const stat = statIn(folder)
  try {
    if (stat('objects/info/alternates') !== undefined) return undefined
    const signature = new StatSignature()
    // A folder's timestamps are read before its names are.
    signature.add('objects', stat('objects'))
    for (const name of readdirSync(join(folder, 'objects')).sort())
      if (OBJECT_FOLDER.test(name)) signature.add(name, stat(`objects/${name}`))
    const { ctimeNs, hasWholeSeconds } = signature
    return { signature: signature.digest(), lastChange: { ctimeNs, hasWholeSeconds, readAt } }
  } catch {
    // Git itself runs and gives the reason.
    return undefined
  }
}

/**
 * The racy-timestamp check (Git: Documentation/technical/racy-git.txt). A timestamp that was very recent when it was read may stand
 * for two contents.
 *
 * It uses the ctime, which no program can set. With whole seconds there is no waiting: two seconds for each request after a push
 * would cost more than the cache saves, so until then the repository is served without the cache.
 */
export function checkRacyTimestamp({ ctimeNs, hasWholeSeconds, readAt }: LastChange): RacyCheck {
  const ageMs = Number(BigInt(readAt) * NS_PER_MS - ctimeNs) / Number(NS_PER_MS)
  const waitMs = (hasWholeSeconds ? WHOLE_SECONDS_MS : CLOCK_TICK_MS) - ageMs
  if (waitMs <= 0) return { kind: 'stable' }
  // A timestamp in the future: the clock was set back, and the wait may be long.
  if (hasWholeSeconds || waitMs > 2 * CLOCK_TICK_MS) return { kind: 'racy' }
  return { kind: 'stable-soon', waitMs: Math.ceil(waitMs) }
}

async function readState(folder: string): Promise<StateReading> {
  const readAt = Date.now()
  const stat = statIn(folder)
  const root = stat('.')
  if (root?.isDirectory() !== true) throw new Uncacheable('no repository')
  if (stat('commondir') !== undefined) throw new Uncacheable('its refs are elsewhere')
  if (!hasReliableTimestamps(folder)) throw new Uncacheable('a file system with unreliable timestamps')

  const identity = new StatSignature()
  // Inode numbers are reused: a repository that is created again may get the same one.
  identity.addText(`${folder}\0${root.dev}.${root.ino}.${root.birthtimeNs}`)

  const configuration = new StatSignature()
  const found = CONFIGURATION_FILES.map((name) => ({ name, stats: stat(name) }))
  for (const { name, stats } of found) configuration.add(name, stats)
  // The texts are read after the timestamps, so that a change in between shows at the next reading.
  const configs = found.flatMap(({ name, stats }) => (stats !== undefined && name.startsWith('config') ? name : []))
  if (configs.some((name) => dependsOnOtherFiles(readIfThere(join(folder, name)))))
    throw new Uncacheable('a configuration that includes other files')

  const all = new StatSignature()
  all.add('.', root)
  for (const name of [...FOLDERS, ...REF_FILES]) all.add(name, stat(name))
  await addLooseRefs(all, stat, folder)

  const state = { identity: identity.digest(), configuration: configuration.digest() }
  all.addText(`${state.identity}\0${state.configuration}`)
  const ctimeNs = all.ctimeNs > configuration.ctimeNs ? all.ctimeNs : configuration.ctimeNs
  const hasWholeSeconds = all.hasWholeSeconds && configuration.hasWholeSeconds
  return { state: { ...state, fingerprint: all.digest() }, lastChange: { ctimeNs, hasWholeSeconds, readAt } }
}

async function addLooseRefs(
  signature: StatSignature,
  stat: (name: string) => BigIntStats | undefined,
  folder: string,
): Promise<void> {
  const refs = stat('refs')
  if (refs?.isDirectory() !== true) throw new Uncacheable('no repository')
  signature.add('refs', refs)
  let statCount = 0
  // A folder's timestamps are always read before its names are.
  for (const open = ['refs']; ;) {
    const directory = open.pop()
    if (directory === undefined) return
    for (const entry of readdirSync(join(folder, directory)).sort()) {
      // Ref names may be any bytes, but Node reads these as text and can't find the file again.
      if (entry.includes('\uFFFD')) throw new Uncacheable('a name that is not UTF-8')
      const name = `${directory}/${entry}`
      const stats = stat(name)
      signature.add(name, stats)
      if (stats?.isDirectory() === true) open.push(name)
      if (++statCount % STATS_PER_TURN === 0) await nextTurn()
    }
  }
}

/** A digest over the names and stat data of files. */
class StatSignature {
  readonly #hash: Hash = createHash('sha256')
  /** The newest ctime among the files. */
  ctimeNs = 0n
  hasWholeSeconds = true

  /** @param stats `undefined` if the file doesn't exist */
  add(name: string, stats: BigIntStats | undefined): void {
    if (stats === undefined) {
      this.addText(name)
      return
    }
    // The link's target may change without the link. Git creates none here, and RepositoryFolder follows none.
    if (stats.isSymbolicLink()) throw new Uncacheable('a symbolic link')
    const { dev, ino, size, mtimeNs, ctimeNs } = stats
    if (ctimeNs > this.ctimeNs) this.ctimeNs = ctimeNs
    if (ctimeNs % NS_PER_SECOND !== 0n) this.hasWholeSeconds = false
    this.addText(`${name}\0${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}`)
  }

  addText(text: string): void {
    // No name contains NUL, so the parts can't be confused.
    this.#hash.update(`${text}\0\0`)
  }

  digest(): string {
    return this.#hash.digest('base64url')
  }
}

/** Nothing about the repository may be cached. */
class Uncacheable extends Error {}

/** Whether a configuration may include files, or keep refs, outside the repository. In doubt, yes: even a comment may count. */
function dependsOnOtherFiles(text: string): boolean {
  // A section may start anywhere on a line, in any case: `[core] [IncludeIf "…"] path = …`.
  if (/\[\s*include/i.test(text)) return true
  // Newer versions of git know `extensions.refStorage = reftable://elsewhere`. The last setting counts.
  const mentions = text.match(/refstorage/gi) ?? []
  const plain = text.match(/refstorage[ \t]*=[ \t]*"?(files|reftable)"?[ \t]*\r?$/gim) ?? []
  return mentions.length > plain.length
}

// File system types as statfs(2) has them. There, other machines change a file while its old timestamps still show for seconds
// (NFS: 3 to 60 s), the timestamps come from another machine's clock, or inode numbers and times are made up (FAT).
const UNRELIABLE_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x01021997, // 9p
  0x65735546, // FUSE, virtiofs: it depends on what is behind it
  0x00c36400, // Ceph
  0x5346414f, // AFS
  0x6b414653, // AFS in the kernel
  0x73757245, // Coda
  0x01161970, // GFS2
  0x7461636f, // OCFS2
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x19830326, // BeeGFS
  0x4d44, // FAT
  0x2011bab0, // exFAT
])

/** Whether timestamps on the path's file system show every change, whoever makes it. */
function hasReliableTimestamps(path: string): boolean {
  // The type is negative where a long has 32 bits.
  return !UNRELIABLE_FILE_SYSTEMS.has(statfsSync(path).type >>> 0)
}

/** Reads stat data of a folder's files; `undefined` for those that don't exist. */
function statIn(folder: string): (name: string) => BigIntStats | undefined {
  return (name) => lstatSync(join(folder, name), { bigint: true, throwIfNoEntry: false })
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT')) return ''
    throw error
  }
}
