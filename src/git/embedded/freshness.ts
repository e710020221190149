import { LRUCache } from 'lru-cache'
import { setTimeout as pause } from 'node:timers/promises'
import type { Freshness, RefList, RepositoryState } from '../../protocol/backend.js'
import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { Reading } from './fingerprint.js'
import { readRepository } from './fingerprint.js'
import type { GitProgram } from './git-program.js'
import { readRefFiles } from './ref-files.js'
import { readObjects } from './object-store.js'
import { listRefs } from './ref-list.js'
import type { RefPacking } from './ref-packing.js'
import type { RepositoryFolder } from './repository-folder.js'
import type { LastChange } from './settling.js'
import { settling } from './settling.js'
import { RunCoalescer } from './run-coalescer.js'

// A repository that changes more often than this is served as without a cache, not held up.
const READINGS = 5
// Some 100 bytes each.
const REFS_IN_MEMORY = 500_000

type KnownRefs = { readonly fingerprint: string; readonly list: RefList }

/** What the embedded server knows of its repositories' states, by their files alone: whoever changes them need not tell. */
export class EmbeddedFreshness implements Freshness {
  readonly #git: GitProgram
  readonly #folder: RepositoryFolder
  readonly #packing: Pick<RefPacking, 'seen'>
  readonly #readings = new RunCoalescer<RepositoryPath, Reading | undefined>()
  readonly #pushes = new Map<RepositoryPath, number>()
  readonly #lists = new Map<string, Promise<RefList | undefined>>()
  readonly #known = new LRUCache<RepositoryPath, KnownRefs>({
    maxSize: REFS_IN_MEMORY,
    sizeCalculation: ({ list }) => list.ids.size + 1,
  })

  constructor(git: GitProgram, folder: RepositoryFolder, packing: Pick<RefPacking, 'seen'>) {
    this.#git = git
    this.#folder = folder
    this.#packing = packing
  }

  async state(repository: RepositoryPath): Promise<RepositoryState | undefined> {
    const settled = await whenSettled(async () => {
      const found = await this.#read(repository)
      if (found !== undefined) this.#packing.seen(this.#folder.locate(repository), found.looseRefs)
      return found
    })
    return settled?.state
  }

  async objects(repository: RepositoryPath): Promise<string | undefined> {
    const settled = await whenSettled(() => Promise.resolve(readObjects(this.#folder.locate(repository))))
    return settled?.stamp
  }

  changed(repository: RepositoryPath): void {
    this.#pushes.set(repository, (this.#pushes.get(repository) ?? 0) + 1)
  }

  async refs(repository: RepositoryPath, state: RepositoryState): Promise<RefList | undefined> {
    const { fingerprint } = state
    const known = this.#known.get(repository)
    if (known?.fingerprint === fingerprint) return known.list
    // Whoever started it: the list is that of the fingerprint, or there is none.
    const running = this.#lists.get(fingerprint)
    if (running !== undefined) return await running
    const list = this.#list(repository, fingerprint).finally(() => this.#lists.delete(fingerprint))
    this.#lists.set(fingerprint, list)
    return await list
  }

  async #list(repository: RepositoryPath, fingerprint: string): Promise<RefList | undefined> {
    const folder = this.#folder.locate(repository)
    const list = readRefFiles(folder) ?? (await listRefs(this.#git, folder))
    // It needs not be settled: it is the same, and that one was.
    const after = list === undefined ? undefined : await this.#read(repository)
    if (list === undefined || after?.state.fingerprint !== fingerprint) return undefined
    this.#known.set(repository, { fingerprint, list })
    return list
  }

  async #read(repository: RepositoryPath): Promise<Reading | undefined> {
    return await this.#readings.run(repository, async () => {
      // Before the files are read, so that a push that ends meanwhile makes a difference to the next reading.
      const pushes = this.#pushes.get(repository) ?? 0
      const reading = await readRepository(this.#folder.locate(repository))
      if (reading === undefined) return undefined
      const { state } = reading
      return { ...reading, state: { ...state, fingerprint: `${state.fingerprint}.${pushes}` } }
    })
  }
}

/** Reads until what was read can't have changed since without a trace. @returns `undefined` where that takes too long */
async function whenSettled<T extends { readonly lastChange: LastChange }>(
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (let reading = 0; reading < READINGS; reading++) {
    const found = await read()
    if (found === undefined) return undefined
    const when = settling(found.lastChange)
    switch (when.kind) {
      case 'settled':
        return found
      case 'soon':
        await pause(when.milliseconds)
        break
      case 'unsettled':
        return undefined
    }
  }
  return undefined
}
