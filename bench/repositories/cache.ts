import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SETTINGS } from '../../test/backends/backend.js'
import { bareRepositories } from '../../test/backends/bare-repositories.js'
import type { Recipe } from './recipes.js'

// To be raised with every change to what a recipe makes.
const VERSION = 1

/** Repositories that are built once and kept, in a folder that may be deleted at any time. */
export class RepositoryCache {
  readonly #folder: string
  readonly #say: (line: string) => void

  constructor(folder: string, say: (line: string) => void) {
    this.#folder = join(folder, `v${VERSION}`)
    this.#say = say
  }

  /** Puts a repository somewhere, to be changed at will. @param folder of the repository; its parent exists */
  async place(recipe: Recipe, folder: string): Promise<void> {
    if (recipe.kept === false) return build(recipe, folder)
    const kept = join(this.#folder, `${recipe.name}.git`)
    if (!existsSync(kept)) {
      this.#say(`building the repository ${recipe.name}, once`)
      const unfinished = join(this.#folder, `unfinished-${process.pid}-${recipe.name}.git`)
      try {
        await build(recipe, unfinished)
        renameSync(unfinished, kept)
      } finally {
        rmSync(unfinished, { recursive: true, force: true })
      }
    }
    cpSync(kept, folder, { recursive: true })
  }
}

async function build({ settings = [], packsRefs = true, fill }: Recipe, folder: string): Promise<void> {
  await bareRepositories(dirname(folder))(basename(folder, '.git'), 'sha1')
  for (const setting of [...SETTINGS, 'gc.auto=0', ...settings]) git(folder, 'config', ...setting.split('='))
  await fill(folder)
  // Packed as `git gc` leaves a bare repository on a server, with a bitmap; deltas are looked for among all objects.
  if (packsRefs) git(folder, 'pack-refs', '--all')
  git(folder, 'repack', '-a', '-d', '-q', '-f')
}

function git(folder: string, ...args: readonly string[]): void {
  execFileSync('git', ['--git-dir', folder, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
}
