import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { accessSync, constants, lstatSync, statSync, mkdirSync, readdirSync, realpathSync } from 'node:fs'
import { rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GitgateError, hasSystemCode, messageOf } from '../../core/errors.js'
import type { Instance } from '../../core/instances.js'
import { joinInstances, lockInstances, newInstanceId } from '../../core/instances.js'
import { withUmask } from '../../core/umask.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import { groupsOf, parseRepositoryPath } from '../../protocol/repository-path.js'
import { isReservedName } from '../../core/reserved-names.js'
import type { GitProgram, ObjectFormat } from './git-program.js'
import { initBare } from './git-program.js'
import { removeLeftovers } from './leftovers.js'

// A name that can't be a repository's.
const HIDDEN = '.gitgate-'
// Where the gates and commands that use the root hold their locks.
const INSTANCES = '.gitgate'
const READ_BY_OTHERS = 0o044

/** The folder of the bare repositories: `group/name` is kept in `<root>/group/name.git`. No symbolic link is followed. */
export class RepositoryFolder {
  readonly root: string
  readonly #device: number
  readonly #umask: number | undefined
  #instance: Instance | undefined

  /**
   * @param root is created if it is missing, for its owner only
   * @param umask of the groups' folders. @default this process's
   * @throws GitgateError `configuration` when it can't be used
   */
  constructor(root: string, umask?: number) {
    this.#umask = umask
    try {
      mkdirSync(root, { recursive: true, mode: 0o700 })
      this.root = realpathSync(root)
      this.#device = statSync(this.root).dev
    } catch (cause) {
      throw new GitgateError('configuration', `the repositories' folder ${root} can't be used: ${messageOf(cause)}`, {
        cause,
      })
    }
  }

  /** Whether the folder can be read and written now, and is on the file system that it was opened on: a volume may be gone. */
  isUsable(): boolean {
    try {
      accessSync(this.root, constants.R_OK | constants.W_OK | constants.X_OK)
      return statSync(this.root).dev === this.#device
    } catch {
      return false
    }
  }

  /** Where a repository is kept, or would be. */
  locate(path: RepositoryPath): string {
    return join(this.root, `${path}.git`)
  }

  /** Whether there is a repository; one that was put here by hand counts, one behind a symbolic link does not. */
  has(path: RepositoryPath): boolean {
    return this.#hasRealParents(path) && isRepository(this.locate(path))
  }

  /** Whether there is a group of this name: a folder, even an empty one. */
  hasGroup(path: RepositoryPath): boolean {
    return lstatOf(join(this.root, path)) !== undefined
  }

  /** All repositories, in the order of their paths. */
  list(): RepositoryPath[] {
    const found: RepositoryPath[] = []
    const visit = (group: string): void => {
      for (const entry of foldersIn(join(this.root, group))) {
        const name = group === '' ? entry : `${group}/${entry}`
        const path = entry.endsWith('.git') ? parseRepositoryPath(name.slice(0, -'.git'.length)) : undefined
        if (path !== undefined && isRepository(this.locate(path))) found.push(path)
        else if (!entry.endsWith('.git')) visit(name)
      }
    }
    visit('')
    return found.sort()
  }

  /**
   * Joins the gates that use the folder, until {@link leave}. Removes what killed gates have left (pushes that never ended,
   * repositories half made or half deleted), unless another gate, worker or command is alive: what it has under way looks the same.
   *
   * @param gate the gate's name, the same for all its workers
   * @returns how many such things there were
   */
  async join(gate: string): Promise<number> {
    let removed = 0
    this.#instance = await this.#join(gate, async (live) => {
      if (live.length === 0) removed = await this.#tidy()
    })
    return removed
  }

  async leave(): Promise<void> {
    await this.#instance?.release()
    this.#instance = undefined
  }

  /**
   * Removes what a killed push has left in a repository, unless it may be another's.
   *
   * @param repository its folder
   */
  async removeLeftovers(repository: string): Promise<void> {
    try {
      await lockInstances(this.#instances(), async (live) => {
        if (live.every((id) => id === this.#instance?.id)) await removeLeftovers(repository)
      })
    } catch {
      // Where nobody can lock anything, nobody can tell.
    }
  }

  async #tidy(): Promise<number> {
    const hidden = readdirSync(this.root).filter((name) => name.startsWith(HIDDEN))
    for (const name of hidden) await rm(join(this.root, name), { recursive: true, force: true })
    let removed = hidden.length
    for (const path of this.list()) removed += await removeLeftovers(this.locate(path))
    return removed
  }

  /** Why a repository of this path can't be made, in words, or `undefined` where it can. */
  obstacleTo(path: RepositoryPath): string | undefined {
    const group = path.split('/')[0] ?? path
    if (isReservedName(group)) return `"${group}" is reserved for gitgate's own URLs`
    // First, since nothing that lies behind a link may show in the reason.
    if (!this.#hasRealParents(path)) return 'a symbolic link or a file stands where its group would be'
    const inside = groupsOf(path).find((name) => lstatOf(this.locate(name)) !== undefined)
    if (inside !== undefined) return `${inside} is a repository, so it can't be a group of repositories`
    if (this.hasGroup(path)) return `${path} is a group of repositories`
    if (lstatOf(this.locate(path)) !== undefined) return `${path} exists already`
    return undefined
  }

  /**
   * Makes an empty bare repository whose HEAD is `main`. It appears all at once, so that nobody sees half of it.
   *
   * @throws GitgateError `conflict` when something is in the way
   */
  async create(git: GitProgram, path: RepositoryPath, format: ObjectFormat): Promise<void> {
    const obstacle = this.obstacleTo(path)
    if (obstacle !== undefined) throw new GitgateError('conflict', `can't create ${path}: ${obstacle}`)
    await this.#asInstance(async () => {
      const draft = this.#hiddenName('new')
      try {
        await initBare(git, draft, format)
        await this.#moveTo(draft, path)
      } finally {
        await rm(draft, { recursive: true, force: true })
      }
    })
  }

  /**
   * Deletes a repository, and the groups that are empty then.
   *
   * @throws GitgateError `not-found`
   */
  async remove(path: RepositoryPath): Promise<void> {
    this.#require(path)
    // Out of sight at once; taking it apart may take long.
    await this.#asInstance(async () => {
      const doomed = this.#hiddenName('deleted')
      await rename(this.locate(path), doomed)
      await rm(doomed, { recursive: true, force: true })
    })
    await this.#removeEmptyGroups(path)
  }

  /**
   * Gives a repository another path.
   *
   * @throws GitgateError `not-found`; `conflict` when something is in the way
   */
  async rename(path: RepositoryPath, to: RepositoryPath): Promise<void> {
    this.#require(path)
    const obstacle = this.obstacleTo(to)
    if (obstacle !== undefined) throw new GitgateError('conflict', `can't rename to ${to}: ${obstacle}`)
    await this.#moveTo(this.locate(path), to)
    await this.#removeEmptyGroups(path)
  }

  /** Runs something that a gate which starts meanwhile must not tidy up. */
  async #asInstance(work: () => Promise<void>): Promise<void> {
    const own = this.#instance === undefined ? await this.#join(newInstanceId()) : undefined
    try {
      await work()
    } finally {
      await own?.release()
    }
  }

  /** @returns `undefined` where the file system has no locks; then nobody tidies up either */
  async #join(id: string, whileLocked?: Parameters<typeof joinInstances>[2]): Promise<Instance | undefined> {
    try {
      return await joinInstances(this.#instances(), id, whileLocked)
    } catch (error) {
      if (error instanceof GitgateError) throw error
      return undefined
    }
  }

  #instances(): string {
    const folder = join(this.root, INSTANCES)
    try {
      mkdirSync(folder, { mode: 0o700 })
    } catch (error) {
      if (!hasSystemCode(error, 'EEXIST')) throw error
    }
    return folder
  }

  #require(path: RepositoryPath): void {
    if (!this.has(path)) throw new GitgateError('not-found', `there is no repository ${path} in ${this.root}`)
  }

  async #moveTo(from: string, path: RepositoryPath): Promise<void> {
    const target = this.locate(path)
    withUmask(this.#umask, () => mkdirSync(dirname(target), { recursive: true }))
    try {
      await rename(from, target)
    } catch (error) {
      if (!hasSystemCode(error, 'ENOTEMPTY', 'EEXIST')) throw error
      throw new GitgateError('conflict', `${path} exists already`, { cause: error })
    }
  }

  async #removeEmptyGroups(path: RepositoryPath): Promise<void> {
    for (const group of groupsOf(path).reverse()) {
      try {
        await rmdir(join(this.root, group))
      } catch {
        return
      }
    }
  }

  #hasRealParents(path: RepositoryPath): boolean {
    return groupsOf(path).every((group) => {
      const stats = lstatOf(join(this.root, group))
      return stats === undefined || stats.isDirectory()
    })
  }

  /** A name in the root that is never served, on the same file system. */
  #hiddenName(purpose: string): string {
    return join(this.root, `${HIDDEN}${purpose}-${randomBytes(6).toString('hex')}`)
  }
}

/** The folders in a folder, but hidden ones. */
export function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name)
  } catch (error) {
    // Such as lost+found on a file system of its own.
    if (hasSystemCode(error, 'EACCES')) return []
    throw error
  }
}

/** Whether a folder is a bare repository. */
export function isRepository(folder: string): boolean {
  return (
    lstatOf(folder)?.isDirectory() === true &&
    lstatOf(join(folder, 'HEAD'))?.isFile() === true &&
    lstatOf(join(folder, 'objects'))?.isDirectory() === true &&
    lstatOf(join(folder, 'refs'))?.isDirectory() === true
  )
}

/** Whether users who can read a repository's folder can't read some of its files: earlier versions gave pushed files mode 0600. */
export function hasUnreadableFiles(folder: string): boolean {
  const readers = (lstatOf(folder)?.mode ?? 0) & READ_BY_OTHERS
  const places = ['.', 'refs/heads', 'objects', 'objects/pack']
  const paths = places.flatMap((place) => namesIn(join(folder, place)).map((name) => join(folder, place, name)))
  return paths.some((path) => ((lstatOf(path)?.mode ?? readers) & readers) !== readers)
}

function namesIn(folder: string): string[] {
  try {
    // Git's temporary files and locks have other modes.
    return readdirSync(folder).filter((name) => !/^tmp_|\.lock$/.test(name))
  } catch {
    return []
  }
}

/** What lies at a path, itself, if anything. Synchronous: a handful of calls at 5 µs each, a tenth of what the thread pool's detour costs. */
export function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    // A file where a folder should be, or a name too long for the file system: nothing is there.
    if (hasSystemCode(error, 'ENOTDIR', 'ENAMETOOLONG')) return undefined
    throw error
  }
}
