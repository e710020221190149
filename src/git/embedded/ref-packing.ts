import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { GitProgram } from './git-program.js'
import { askGit, inRepository } from './git-program.js'

/** When refs are packed. */
export type PackingTimes = {
  /** Milliseconds without a push before refs are packed. @default 2_000 */
  readonly quietMs?: number
  /** Milliseconds until the same repository may be packed again. @default 60_000 */
  readonly intervalMs?: number
  /** @default a timer that keeps no process alive */
  readonly wait?: (milliseconds: number) => Promise<unknown>
}

/** What is known about a repository between a push and the packing of its refs. */
type Repository = {
  /** Pushes that run, or ended less than the quiet time ago. */
  pushes: number
  /** Whether a push has ended since its refs were packed. */
  wasPushed: boolean
  /** Whether it is being packed, or was packed less than the interval ago. */
  isPacked: boolean
}

/** 300 files cost each reading of a repository 1.5 ms. Pushes to a handful of branches never leave that many. */
export const MAX_LOOSE_REFS = 300

/**
 * Packs the loose refs of repositories that have many, some time after a push. Each reading of a repository's state looks at every
 * loose ref: 5,000 cost 24 to 50 ms, and the same refs packed 0.07 ms (measured).
 *
 * Only pushes through the gate lead to packing, never a read: people rely on reads not writing to a repository, for example on a
 * read-only copy or while a backup runs.
 */
export class RefPacking {
  readonly #git: GitProgram
  readonly #quietMs: number
  readonly #intervalMs: number
  readonly #wait: (milliseconds: number) => Promise<unknown>
  readonly #repositories = new Map<string, Repository>()

  constructor(git: GitProgram, { quietMs = 2_000, intervalMs = 60_000, wait = waitUnreferenced }: PackingTimes = {}) {
    this.#git = git
    this.#quietMs = quietMs
    this.#intervalMs = intervalMs
    this.#wait = wait
  }

  /**
   * Reports that a push begins. Nothing is packed while it runs.
   *
   * @param folder the bare repository
   * @returns to be called when the push has ended
   */
  pushBegins(folder: string): () => void {
    const repository = this.#repositories.get(folder) ?? { pushes: 0, wasPushed: false, isPacked: false }
    this.#repositories.set(folder, repository)
    repository.pushes += 1
    return () => {
      repository.wasPushed = true
      void this.#wait(this.#quietMs).then(() => {
        repository.pushes -= 1
        this.#packIfNeeded(folder, repository)
      })
    }
  }

  #packIfNeeded(folder: string, repository: Repository): void {
    if (repository.pushes > 0 || repository.isPacked) return
    if (!repository.wasPushed || !hasManyLooseRefs(folder)) {
      this.#repositories.delete(folder)
      return
    }
    repository.wasPushed = false
    repository.isPacked = true
    void this.#pack(folder)
      .then(() => this.#wait(this.#intervalMs))
      .then(() => {
        repository.isPacked = false
        this.#packIfNeeded(folder, repository)
      })
  }

  async #pack(folder: string): Promise<void> {
    try {
      // Hooks don't run: no ref changes. Pushes that don't come through this process wait for git's locks.
      await askGit(this.#git, ['-c', 'core.hooksPath=/dev/null', ...inRepository(folder), 'pack-refs', '--all'])
    } catch {
      // The repository is gone, read-only or locked. Its refs stay loose, which is only slower.
    }
  }
}

/**
 * Whether a repository has more than {@link MAX_LOOSE_REFS} loose refs, or as many folders of them. A few refs may stand under
 * thousands of folders, which take as long to read.
 */
export function hasManyLooseRefs(folder: string): boolean {
  let files = 0
  let folders = 0
  for (const open = ['refs']; ;) {
    const directory = open.pop()
    if (directory === undefined) return false
    try {
      for (const entry of readdirSync(join(folder, directory), { withFileTypes: true })) {
        if (entry.isDirectory()) open.push(`${directory}/${entry.name}`)
        if ((entry.isDirectory() ? ++folders : ++files) > MAX_LOOSE_REFS) return true
      }
    } catch {
      // The folder is gone, or can't be read.
    }
  }
}

const waitUnreferenced = (milliseconds: number): Promise<void> => delay(milliseconds, undefined, { ref: false })
