import type { CompiledQuery } from 'kysely'
import { linkHash } from '../domain/audit/chain.js'
import type { AuditEvent } from '../domain/audit/event.js'
import { auditEvent, THE_GATE } from '../domain/audit/event.js'
import type { Clock } from '../core/clock.js'
import { lastRow, readEnd, writeEnd } from './signed-heads.js'
import { AUDIT_COLUMNS, rowOf, valuesOf } from './audit-row.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'

// Rows in one statement. With 22 values each, this stays far below the limit of SQLite parameters.
const MAX_ROWS_PER_INSERT = 50

/** Adds rows to the audit log. */
export class AuditWriter {
  readonly #sealer: Sealer
  readonly #clock: Clock
  readonly #redact: (text: string) => string
  // Compiled once for each number of rows. Compiling per request took longer than writing the row (measured).
  readonly #inserts = new Map<number, CompiledQuery>()

  /** @param redact removes secrets that a client put where they don't belong, such as into a ref name */
  constructor(sealer: Sealer, clock: Clock, redact: (text: string) => string) {
    this.#redact = redact
    this.#sealer = sealer
    this.#clock = clock
  }

  /** Adds events in the transaction of the change that they record. */
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
      await this.#insert(transaction, rows.splice(0, rows.length < MAX_ROWS_PER_INSERT ? 1 : MAX_ROWS_PER_INSERT))
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
  // The values are set later. Nulls would become part of the SQL text.
  const blank = rowOf(
    AUDIT_COLUMNS.map(() => ''),
    '',
  )
  return queries
    .insertInto('audit_events')
    .values(Array.from({ length: count }, () => blank))
    .compile()
}
