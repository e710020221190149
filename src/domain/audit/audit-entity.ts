import type { AuditRow } from './event.js'

/** A row as JSON has it: for programs, for the API, and for log files. */
export function auditEntity(row: AuditRow) {
  return {
    id: row.id,
    at: row.at.toISOString(),
    action: row.action,
    decision: row.decision,
    rule: row.rule,
    via: row.via,
    operator: row.operator,
    account_id: row.accountId,
    user: row.username,
    token_id: row.tokenId,
    impersonator: row.impersonator,
    ip: row.ip,
    user_agent: row.userAgent,
    request_id: row.requestId,
    repository: row.repository,
    service: row.service,
    refs: row.refs,
    bytes_in: row.bytesIn,
    bytes_out: row.bytesOut,
    target: row.target,
    details: row.details,
    hash: row.hash,
  }
}
