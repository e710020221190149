import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ChainHead } from '../domain/audit/chain.js'
import type { Sealer } from './seal.js'
import { CHAIN_START } from '../domain/audit/chain.js'
import type { Queries } from './database.js'

const PURPOSE = 'audit mark'

/**
 * The checkpoint: a head of the audit log, kept in a file beside the database. Somebody who can write only to the database can't
 * replace the log by an earlier one, or empty it, without contradicting the checkpoint. It lags behind the last events.
 */
export class AuditCheckpoint {
  readonly path: string
  readonly #sealer: Sealer

  constructor(path: string, sealer: Sealer) {
    this.path = path
    this.#sealer = sealer
  }

  /** @returns `undefined` if there is none that a gate signed */
  read(): ChainHead | undefined {
    const [id = '', hash = '', signature = ''] = this.#text().trim().split(' ')
    return this.#sealer.isSigned(`${id} ${hash}`, PURPOSE, signature) ? { id: Number(id), hash } : undefined
  }

  write({ id, hash }: ChainHead): void {
    const text = `${id} ${hash}`
    // Random, because gates in two containers may have the same process ID: one would rename the other's unfinished draft.
    const draft = `${this.path}.${randomBytes(6).toString('hex')}`
    try {
      writeFileSync(draft, `${text} ${this.#sealer.sign(text, PURPOSE)}\n`, { mode: 0o600 })
      renameSync(draft, this.path)
    } catch {
      // On a full disk the older checkpoint stays, which is still true.
      rmSync(draft, { force: true })
    }
  }

  /** Removes the drafts of killed processes. If another process is writing one now, its next event writes it again. */
  removeDrafts(): void {
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

/** The two ends of the audit log: the head before its first row (later than the start if rows were pruned), and its last row. */
export type AuditEnd = 'audit_start' | 'audit_head'

/**
 * Reads an end of the audit log. It is signed with the key, which is not in the database, so somebody who deletes the last rows
 * in the database can't forge a matching head.
 *
 * @returns `undefined` if no gate signed it
 */
export async function readEnd(queries: Queries, sealer: Sealer, end: AuditEnd): Promise<ChainHead | undefined> {
  const row = await queries.selectFrom('instance_facts').select('value').where('key', '=', end).executeTakeFirst()
  // Nothing was pruned, or nothing written yet.
  if (row === undefined) return end === 'audit_start' || (await isEmpty(queries)) ? CHAIN_START : undefined
  const [id = '', hash = '', signature = ''] = row.value.split(' ')
  return sealer.isSigned(`${id} ${hash}`, end, signature) ? { id: Number(id), hash } : undefined
}

/** Writes an end of the audit log. */
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

/** The last row in the table, whatever the signed head says. */
export async function lastRow(queries: Queries): Promise<ChainHead> {
  const query = queries.selectFrom('audit_events').select(['id', 'hash']).orderBy('id', 'desc').limit(1)
  return (await query.executeTakeFirst()) ?? CHAIN_START
}
