import type { RepositoryPath } from '../../protocol/repository-path.js'
import type { GrantStore } from './grant.js'
import type { AccessMemory } from './memory.js'
import { ReachSets } from './reach-sets.js'

/** Remembers what everybody reaches while neither a right nor the list of repositories changes. */
export class ReachMemory {
  readonly #memory: AccessMemory
  #known: { readonly epoch: number; readonly paths: readonly RepositoryPath[]; readonly sets: ReachSets } | undefined

  constructor(memory: AccessMemory) {
    this.#memory = memory
  }

  /** What everybody reaches of a list of repositories. @param grants all of them are read, after the epoch */
  async of(paths: readonly RepositoryPath[], grants: Pick<GrantStore, 'list'>): Promise<ReachSets> {
    const { epoch } = await this.#memory.current()
    if (this.#known?.epoch !== epoch || this.#known.paths !== paths)
      this.#known = { epoch, paths, sets: new ReachSets(paths, await grants.list()) }
    return this.#known.sets
  }
}
