import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ChainHead } from '../domain/audit/chain.js'
import type { Sealer } from './seal.js'

const PURPOSE = 'audit mark'

/**
 * A place in the trail that is noted beside the database: who can write to that alone can't put an earlier trail in its place, or
 * none, without the mark saying so. It lags behind by what was written last.
 */
export class AuditMark {
  readonly path: string
  readonly #sealer: Sealer

  constructor(path: string, sealer: Sealer) {
    this.path = path
    this.#sealer = sealer
  }

  /** @returns `undefined` where there is none that a gate wrote */
  read(): ChainHead | undefined {
    const [id = '', hash = '', signature = ''] = this.#text().trim().split(' ')
    return this.#sealer.isSigned(`${id} ${hash}`, PURPOSE, signature) ? { id: Number(id), hash } : undefined
  }

  write({ id, hash }: ChainHead): void {
    const text = `${id} ${hash}`
    // Random: gates in two containers may have the same process ID, and one would rename what the other has half written.
    const draft = `${this.path}.${randomBytes(6).toString('hex')}`
    try {
      writeFileSync(draft, `${text} ${this.#sealer.sign(text, PURPOSE)}\n`, { mode: 0o600 })
      renameSync(draft, this.path)
    } catch {
      // On a full disk the mark is an older one, which is right, too.
      rmSync(draft, { force: true })
    }
  }

  /** Removes drafts that killed processes have left. One that another process is writing is written again by its next event. */
  tidy(): void {
    const folder = dirname(this.path)
    for (const name of readdirSync(folder))
      if (name.startsWith(`${basename(this.path)}.`)) rmSync(join(folder, name), { recursive: true, force: true })
  }

  #text(): string {
    try {
      return readFileSync(this.path, 'utf8')
    } catch {
      return ''
    }
  }
}
