import { setTimeout as pause } from 'node:timers/promises'
import type { GitProgram } from './git-program.js'
import { askGit, inRepository } from './git-program.js'

/** When refs are packed. */
export type PackingTimes = {
  /** Milliseconds without a push that count as quiet. @default 2_000 */
  readonly quiet?: number
  /** Milliseconds until a repository may be packed once more. @default 60_000 */
  readonly rest?: number
  /** Waits so many milliseconds. @default by a timer that keeps no process alive */
  readonly wait?: (milliseconds: number) => Promise<unknown>
}

// 300 files cost each reading 1.5 ms; pushes to a handful of branches never come there.
const MANY = 300

/**
 * Packs the loose refs of repositories that have many, since every reading of a repository looks at each of them: 5,000
 * cost 24 to 50 ms, and packed ones 0.07 ms (measured).
 */
export class RefPacking {
  readonly #git: GitProgram
  readonly #quiet: number
  readonly #rest: number
  readonly #wait: (milliseconds: number) => Promise<unknown>
  readonly #pushes = new Map<string, number>()
  readonly #planned = new Set<string>()

  constructor(git: GitProgram, { quiet = 2_000, rest = 60_000, wait = waitUnreferenced }: PackingTimes = {}) {
    this.#wait = wait
    this.#git = git
    this.#quiet = quiet
    this.#rest = rest
  }

  /**
   * Says that a push begins; nothing is packed until it has ended, and a quiet moment longer.
   *
   * @param folder the bare repository
   * @returns to be called when it has ended
   */
  pushBegins(folder: string): () => void {
    this.#pushes.set(folder, (this.#pushes.get(folder) ?? 0) + 1)
    return () => void this.#wait(this.#quiet).then(() => this.#forgetPush(folder))
  }

  /** Says how many loose refs a repository has; where they are many, they are packed in the next quiet moment. */
  seen(folder: string, looseRefs: number): void {
    if (looseRefs <= MANY || this.#planned.has(folder)) return
    this.#planned.add(folder)
    void this.#pack(folder).finally(() => this.#planned.delete(folder))
  }

  async #pack(folder: string): Promise<void> {
    do await this.#wait(this.#quiet)
    while (this.#pushes.has(folder))
    try {
      // Nothing changes by it, so a hook has nothing to be told. Pushes from elsewhere wait for git's own locks.
      await askGit(this.#git, ['-c', 'core.hooksPath=/dev/null', ...inRepository(folder), 'pack-refs', '--all'])
    } catch {
      // Gone, read-only or locked by another git: all stays as it was, only slower.
    }
    await this.#wait(this.#rest)
  }

  #forgetPush(folder: string): void {
    const left = (this.#pushes.get(folder) ?? 1) - 1
    if (left > 0) this.#pushes.set(folder, left)
    else this.#pushes.delete(folder)
  }
}

const waitUnreferenced = (milliseconds: number): Promise<void> => pause(milliseconds, undefined, { ref: false })
