import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ChainHead } from '../domain/audit/chain.js'
import type { Sealer } from './seal.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { Queries } from './database.js'

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

/** The two ends of the trail: what its first row follows, and its last row. */
export type AuditEnd = 'audit_start' | 'audit_head'

/**
 * Reads what is kept about an end of the trail. It is signed under the key, which is not in the database: who removes the
 * last rows with a shell can't make the head that fits.
 *
 * @returns `undefined` where it was not signed by a gate
 */
export async function readEnd(queries: Queries, sealer: Sealer, end: AuditEnd): Promise<ChainHead | undefined> {
  const row = await queries.selectFrom('instance_facts').select('value').where('key', '=', end).executeTakeFirst()
  // Nothing was pruned, or nothing written yet.
  if (row === undefined) return end === 'audit_start' || (await isEmpty(queries)) ? CHAIN_START : undefined
  const [id = '', hash = '', signature = ''] = row.value.split(' ')
  return sealer.isSigned(`${id} ${hash}`, end, signature) ? { id: Number(id), hash } : undefined
}

/** Keeps an end of the trail. */
export async function writeEnd(
  transaction: Queries,
  sealer: Sealer,
  end: AuditEnd,
  { id, hash }: ChainHead,
): Promise<void> {
  const text = `${id} ${hash}`
  const value = `${text} ${sealer.sign(text, end)}`
  await transaction
    .insertInto('instance_facts')
    .values({ key: end, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

async function isEmpty(queries: Queries): Promise<boolean> {
  return (await queries.selectFrom('audit_events').select('id').limit(1).executeTakeFirst()) === undefined
}

/** The last row that there is, whatever is kept about it. */
export async function lastRow(queries: Queries): Promise<ChainHead> {
  const query = queries.selectFrom('audit_events').select(['id', 'hash']).orderBy('id', 'desc').limit(1)
  return (await query.executeTakeFirst()) ?? CHAIN_START
}
