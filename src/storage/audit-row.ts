import type { ChainedValues, Link } from '../domain/audit/chain.js'
import type { AuditAction, AuditDecision, AuditEvent, AuditRow, RefChange, Via } from '../domain/audit/event.js'
import type { Schema } from './database-schema.js'

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

/** An event as the values of {@link CHAINED_COLUMNS}. */
export function valuesOf(id: number, event: AuditEvent): ChainedValues {
  return [
    id,
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
export function rowOf(values: ChainedValues, hash: string): Row {
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
