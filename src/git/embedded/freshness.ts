import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Freshness, RefList, RepositoryState } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { GitProgram } from './git-program.js'
import { readRefs } from './ref-list.js'
import type { RepositoryFolder } from './repository-folder.js'
import type { LastChange, StateReading } from './repository-state.js'
import { checkRacyTimestamp, readObjects, readRepositoryState } from './repository-state.js'
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
