import type { Stats } from 'node:fs'
import { join } from 'node:path'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { parseRepositoryPath } from '../../protocol/repository-path.js'
import { foldersIn, isRepository, lstatOf } from './repository-folder.js'
import { RunCoalescer } from './run-coalescer.js'

// Then other requests get their turn.
const MAX_TURN_MS = 5
// A folder's timestamps move with the kernel's clock, at 100 Hz or faster. A second change within one tick leaves no trace.
const RACY_MS = 100
// A folder that stays but is no repository any more is noticed then.
const FULL_SCAN_INTERVAL_MS = 10 * 60_000

/** A group's folder as it was read. */
type Group = {
  readonly stats: Stats
  readonly readAt: number
  readonly repositories: readonly RepositoryPath[]
  /** Named like repositories, but not repositories yet: `git init` may be running. */
  readonly drafts: readonly string[]
  readonly groups: readonly string[]
}

/**
 * Lists the repositories, perhaps tens of thousands, without blocking the event loop. Folders that haven't changed are not read
 * again, and calls during a scan share the next one.
 */
export class RepositoryListing {
  readonly #root: string
  readonly #scans = new RunCoalescer<'', readonly RepositoryPath[]>()
  #groups = new Map<string, Group>()
  #fullScanAt = 0
  #paths: readonly RepositoryPath[] = []

  constructor(root: string) {
    this.#root = root
  }

  /** All repositories, in the order of their paths. @returns the same array as long as they are the same */
  async list(): Promise<readonly RepositoryPath[]> {
    return await this.#scans.run('', () => this.#scan())
  }

  async #scan(): Promise<readonly RepositoryPath[]> {
    const now = performance.now()
    const known = now - this.#fullScanAt < FULL_SCAN_INTERVAL_MS ? this.#groups : new Map<string, Group>()
    if (known !== this.#groups) this.#fullScanAt = now
    const found = new Map<string, Group>()
    const waiting = ['']
    let isSame = true
    let turn = performance.now()
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (performance.now() - turn > MAX_TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve))
        turn = performance.now()
      }
      const group = await this.#read(name, known.get(name))
      if (group === undefined) continue
      isSame &&= group === this.#groups.get(name)
      found.set(name, group)
      waiting.push(...group.groups)
    }
    isSame &&= found.size === this.#groups.size
    this.#groups = found
    if (!isSame) {
      const paths = [...found.values()].flatMap(({ repositories }) => repositories).sort()
      const isOther = paths.length !== this.#paths.length || paths.some((path, at) => path !== this.#paths[at])
      if (isOther) this.#paths = paths
    }
    return this.#paths
  }

  async #read(name: string, known: Group | undefined): Promise<Group | undefined> {
    const folder = join(this.#root, name)
    const stats = lstatOf(folder)
    if (stats?.isDirectory() !== true) return undefined
    const isUnchanged =
      known !== undefined &&
      known.stats.ino === stats.ino &&
      known.stats.mtimeMs === stats.mtimeMs &&
      known.stats.ctimeMs === stats.ctimeMs &&
      known.readAt - stats.ctimeMs > RACY_MS &&
      !known.drafts.some((path) => isRepository(join(this.#root, path)))
    return isUnchanged ? known : await this.#readAgain(name, stats)
  }

  async #readAgain(name: string, stats: Stats): Promise<Group> {
    const readAt = Date.now()
    const repositories: RepositoryPath[] = []
    const drafts: string[] = []
    const groups: string[] = []
    let turn = performance.now()
    for (const entry of foldersIn(join(this.#root, name))) {
      if (performance.now() - turn > MAX_TURN_MS) {
        await new Promise((resolve) => setImmediate(resolve))
        turn = performance.now()
      }
      const inner = name === '' ? entry : `${name}/${entry}`
      if (!entry.endsWith('.git')) {
        groups.push(inner)
        continue
      }
      const path = parseRepositoryPath(inner.slice(0, -'.git'.length))
      if (path === undefined) continue
      if (isRepository(join(this.#root, inner))) repositories.push(path)
      else drafts.push(inner)
    }
    return { stats, readAt, repositories, drafts, groups }
  }
}
