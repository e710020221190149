import type { CompiledQuery } from 'kysely'
import type { Clock } from '../core/clock.js'
import type { ChainedValues, Link } from '../domain/audit/chain.js'
import { linkHash } from '../domain/audit/chain.js'
import type { AuditAction, AuditDecision, AuditEvent, AuditRow, RefChange, Via } from '../domain/audit/event.js'
import { auditEvent, THE_GATE } from '../domain/audit/event.js'
import type { Schema } from './database-schema.js'
import type { Queries } from './database.js'
import type { Sealer } from './seal.js'
import { lastRow, readEnd, writeEnd } from './signed-heads.js'

type Row = Schema['audit_events']

/** The columns that the chain covers, in the order in which it does. It must never change. */
const CHAINED_COLUMNS = [
  'id',
  'at',
  'action',
  'decision',
  'rule',
  'via',
  'operator',
  'account_id',
  'username',
  'token_id',
  'impersonator',
  'ip',
  'user_agent',
  'request_id',
  'repository',
  'service',
  'refs',
  'bytes_in',
  'bytes_out',
  'target',
  'details',
] as const satisfies readonly (keyof Row)[]

/** All columns; the hash is the last. */
export const AUDIT_COLUMNS = [...CHAINED_COLUMNS, 'hash'] as const

/** An event as the values of {@link CHAINED_COLUMNS}, but for the ID. */
function valuesOf(event: AuditEvent): ChainedValues {
  return [
    event.at.getTime(),
    event.action,
    event.decision,
    event.rule,
    event.via,
    event.operator,
    event.accountId,
    event.username,
    event.tokenId,
    event.impersonator,
    event.ip,
    event.userAgent,
    event.requestId,
    event.repository,
    event.service,
    event.refs === null ? null : JSON.stringify(event.refs),
    event.bytesIn,
    event.bytesOut,
    event.target,
    event.details === null ? null : JSON.stringify(event.details),
  ]
}

/** The row of an event, from its values. */
function rowOf(values: ChainedValues, hash: string): Row {
  return Object.fromEntries([...CHAINED_COLUMNS.map((column, index) => [column, values[index]]), ['hash', hash]]) as Row
}

/** A row as the chain sees it. */
export function linkOf(row: Row): Link {
  return { id: row.id, hash: row.hash, values: CHAINED_COLUMNS.map((column) => row[column]) }
}

/** An event from its row. */
export function auditRowFrom(row: Row): AuditRow {
  return {
    id: row.id,
    at: new Date(row.at),
    action: row.action as AuditAction,
    decision: row.decision as AuditDecision,
    rule: row.rule,
    via: row.via as Via,
    operator: row.operator,
    accountId: row.account_id,
    username: row.username,
    tokenId: row.token_id,
    impersonator: row.impersonator,
    ip: row.ip,
    userAgent: row.user_agent,
    requestId: row.request_id,
    repository: row.repository,
    service: row.service,
    refs: row.refs === null ? null : (JSON.parse(row.refs) as RefChange[]),
    bytesIn: row.bytes_in,
    bytesOut: row.bytes_out,
    target: row.target,
    details: row.details === null ? null : (JSON.parse(row.details) as Record<string, unknown>),
    hash: row.hash,
  }
}

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

  /** Prepares an event. For a large push that takes longer than the transaction, so it is done before. */
  prepare(event: AuditEvent): ChainedValues {
    return valuesOf(event).map((value) => (typeof value === 'string' ? this.#redact(value) : value))
  }

  /** Adds prepared events in the transaction of the change that they record. */
  async append(transaction: Queries, events: readonly ChainedValues[]): Promise<void> {
    const head = await readEnd(transaction, this.#sealer, 'audit_head')
    let last = head ?? (await lastRow(transaction))
    const noted = head === undefined ? [this.#endsChanged()] : []
    const rows = [...noted, ...events].map((event) => {
      const values = [last.id + 1, ...event]
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

  #endsChanged(): ChainedValues {
    return this.prepare(auditEvent(THE_GATE, this.#clock(), { action: 'audit.ends_changed', decision: 'failed' }))
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
