import type { CompiledQuery } from 'kysely'
import { linkHash } from '../domain/audit/chain.js'
import type { AuditEvent } from '../domain/audit/event.js'
import { auditEvent, THE_GATE } from '../domain/audit/event.js'
import type { Clock } from '../core/clock.js'
import { lastRow, readEnd, writeEnd } from './signed-heads.js'
import { AUDIT_COLUMNS, rowOf, valuesOf } from './audit-row.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'

// Rows in one statement: at 22 values each far below what databases take.
const ROWS_AT_ONCE = 50

/** Adds rows to the trail. */
export class AuditWriter {
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #redact: (text: string) => string
  // Built once for each number of rows: at every request, to build the text took longer than to write the row (measured).
  readonly #inserts = new Map<number, CompiledQuery>()

  /** @param redact takes secrets out of a text: what a client pasted where none belongs, such as into a ref's name */
  constructor(sealer: Sealer, clock: Clock, redact: (text: string) => string) {
    this.#redact = redact
    this.#sealer = sealer
    this.#clock = clock
  }

  /** Adds events, as a part of the transaction that they tell about. */
  async append(transaction: Queries, events: readonly AuditEvent[]): Promise<void> {
    const head = await readEnd(transaction, this.#sealer, 'audit_head')
    let last = head ?? (await lastRow(transaction))
    const noted = head === undefined ? [this.#endsChanged()] : []
    const rows = [...noted, ...events].map((event) => {
      const values = valuesOf(last.id + 1, event).map((value) =>
        typeof value === 'string' ? this.#redact(value) : value,
      )
      last = { id: last.id + 1, hash: linkHash(last.hash, values) }
      return [...values, last.hash]
    })
    while (rows.length > 0)
      await this.#insert(transaction, rows.splice(0, rows.length < ROWS_AT_ONCE ? 1 : ROWS_AT_ONCE))
    await writeEnd(transaction, this.#sealer, 'audit_head', last)
  }

  async #insert(transaction: Queries, rows: readonly (string | number | null)[][]): Promise<void> {
    const known = this.#inserts.get(rows.length) ?? compileInsert(transaction, rows.length)
    this.#inserts.set(rows.length, known)
    await transaction.executeQuery({ ...known, parameters: rows.flat() })
  }

  #endsChanged(): AuditEvent {
    return auditEvent(THE_GATE, this.#clock(), { action: 'audit.ends_changed', decision: 'failed' })
  }
}

function compileInsert(queries: Queries, count: number): CompiledQuery {
  // The values are put in later; nulls would become a part of the text.
  const blank = rowOf(
    AUDIT_COLUMNS.map(() => ''),
    '',
  )
  return queries
    .insertInto('audit_events')
    .values(Array.from({ length: count }, () => blank))
    .compile()
}
