import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'

const SECOND = 1_000_000_000n

/** Stamps of files, summed up. */
export class Stamps {
  readonly #hash: Hash = createHash('sha256')
  newest = 0n
  inWholeSeconds = true

  add(name: string, stats: BigIntStats | undefined): void {
    if (stats === undefined) {
      this.addText(name)
      return
    }
    // What a link leads to may change without it. Git makes none, and RepositoryFolder follows none.
    if (stats.isSymbolicLink()) throw new Uncacheable('a symbolic link')
    const { dev, ino, size, mtimeNs, ctimeNs } = stats
    if (ctimeNs > this.newest) this.newest = ctimeNs
    if (ctimeNs % SECOND !== 0n) this.inWholeSeconds = false
    this.addText(`${name}\0${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}`)
  }

  addText(text: string): void {
    // No name holds the byte, so nothing can be read two ways.
    this.#hash.update(`${text}\0\0`)
  }

  digest(): string {
    return this.#hash.digest('base64url')
  }
}

/** Why nothing of a repository may be kept. */
export class Uncacheable extends Error {}
