import type { Stats } from 'node:fs'
import { join } from 'node:path'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { parseRepositoryPath } from '../../protocol/repository-path.js'
import { foldersIn, isRepository, lstatOf } from './repository-folder.js'

// Others have their turn in between.
const AT_ONCE = 5
// A folder's time moves with the kernel's clock, at 100 Hz at the least: what was changed right before may change once more
// without a trace.
const UNSURE = 100
// Repositories that were taken apart in their place are missed until then.
const REMEMBERED = 10 * 60_000

/** A folder as it was read. */
type Group = {
  readonly stats: Stats
  readonly readAt: number
  readonly repositories: readonly RepositoryPath[]
  /** Named like repositories, and none yet: `git init` may be at work. */
  readonly drafts: readonly string[]
  readonly groups: readonly string[]
}

/**
 * Lists the repositories, of which there may be ten thousands, without holding up the event loop: folders that have not
 * changed since are not read again, and who asks while one looks shares the look that follows.
 */
export class RepositoryListing {
  readonly #root: string
  #groups = new Map<string, Group>()
  #begun = 0
  #paths: readonly RepositoryPath[] = []
  #running: Promise<readonly RepositoryPath[]> | undefined
  #next: Promise<readonly RepositoryPath[]> | undefined

  constructor(root: string) {
    this.#root = root
  }

  /** All repositories, in the order of their paths. @returns the same array as long as they are the same */
  list(): Promise<readonly RepositoryPath[]> {
    if (this.#running === undefined) return this.#run()
    // What is running may have gone past what was made a moment ago.
    const again = (): Promise<readonly RepositoryPath[]> => {
      this.#next = undefined
      return this.#run()
    }
    this.#next ??= this.#running.then(again, again)
    return this.#next
  }

  #run(): Promise<readonly RepositoryPath[]> {
    this.#running = this.#look().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #look(): Promise<readonly RepositoryPath[]> {
    const now = performance.now()
    const known = now - this.#begun < REMEMBERED ? this.#groups : new Map<string, Group>()
    if (known !== this.#groups) this.#begun = now
    const found = new Map<string, Group>()
    const waiting = ['']
    let isSame = true
    let turn = performance.now()
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (performance.now() - turn > AT_ONCE) {
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
      known.readAt - stats.ctimeMs > UNSURE &&
      !known.drafts.some((path) => isRepository(join(this.#root, path)))
    return isUnchanged ? known : await this.#readAnew(name, stats)
  }

  async #readAnew(name: string, stats: Stats): Promise<Group> {
    const readAt = Date.now()
    const repositories: RepositoryPath[] = []
    const drafts: string[] = []
    const groups: string[] = []
    let turn = performance.now()
    for (const entry of foldersIn(join(this.#root, name))) {
      if (performance.now() - turn > AT_ONCE) {
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
