import { FastImport } from './fast-import.js'
import type { FileChange } from './fast-import.js'
import { Noise } from './noise.js'

/** How a repository is made; two with the same name are the same. */
export type Recipe = {
  readonly name: string
  /** What `git config` must say in it. @default nothing */
  readonly settings?: readonly string[]
  /** Whether it is worth keeping: not what is large and made as fast as copied. @default true */
  readonly kept?: boolean
  /** Whether its refs are packed. @default true */
  readonly packsRefs?: boolean
  /** Fills an empty bare repository. */
  readonly fill: (folder: string) => Promise<void>
}

const MAIN = 'refs/heads/main'
const LINES = 200
const CHANGED_LINES = 100
// More than 100 objects: fewer would be unpacked, and deflated anew, instead of indexed (receive.unpackLimit).
const INCOMPRESSIBLE_FILES = 128

/** One branch, 20 commits, a few kilobytes. */
export const small: Recipe = {
  name: 'small',
  fill: async (folder) => {
    const noise = new Noise(1)
    const files = new FastImport(folder)
    for (let i = 0; i < 20; i++) await files.commit(MAIN, [{ path: `file-${i % 5}`, content: noise.line() }])
    await files.end()
  },
}

/** A small repository with many branches. */
export function manyRefs(count: number): Recipe {
  return {
    name: `refs-${count}`,
    fill: async (folder) => {
      const noise = new Noise(2)
      const files = new FastImport(folder)
      await files.commit(MAIN, [{ path: 'file', content: noise.line() }])
      for (let i = 1; i < count; i++) await files.ref(`refs/heads/topic/number-${String(i).padStart(5, '0')}`, MAIN)
      await files.end()
    },
  }
}

/** A small repository with many branches, each in a file of its own. */
export function looseRefs(count: number): Recipe {
  return { ...manyRefs(count), name: `loose-refs-${count}`, packsRefs: false }
}

/**
 * A history in which each commit changes half of a file of 200 lines, among a tenth as many files as commits: about 5 KB a
 * commit when it is packed.
 */
export function history(commits: number): Recipe {
  return {
    name: `history-${commits}`,
    fill: async (folder) => {
      const noise = new Noise(3)
      const texts = Array.from({ length: commits / 10 }, () => Array.from({ length: LINES }, () => noise.line()))
      const change = (index: number): FileChange => ({
        path: `area-${index % 10}/part-${Math.floor(index / 10) % 20}/file-${index}`,
        content: texts[index]?.join('') ?? '',
      })
      const files = new FastImport(folder)
      await files.commit(
        MAIN,
        texts.map((_, index) => change(index)),
      )
      for (let i = 1; i < commits; i++) {
        const index = noise.below(texts.length)
        for (let line = 0; line < CHANGED_LINES; line++) texts[index]?.splice(noise.below(LINES), 1, noise.line())
        await files.commit(MAIN, [change(index)])
      }
      await files.end()
    },
  }
}

/** One commit of 128 files that don't compress. */
export function incompressible(mebibytes: number): Recipe {
  return {
    name: `incompressible-${mebibytes}m`,
    kept: false,
    // Deflating what does not shrink, and looking for similar objects, takes long and changes no size.
    settings: ['core.compression=0', 'pack.compression=0', 'core.bigFileThreshold=1m'],
    fill: async (folder) => {
      const noise = new Noise(4)
      const size = (mebibytes * 1_048_576) / INCOMPRESSIBLE_FILES
      const files = function* (): Generator<FileChange> {
        for (let i = 0; i < INCOMPRESSIBLE_FILES; i++) yield { path: `noise-${i}`, content: noise.bytes(size) }
      }
      const commits = new FastImport(folder)
      await commits.commit(MAIN, files())
      await commits.end()
    },
  }
}
