import type { AuditDecision, AuditRow } from './event.js'

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

/** The decision, named as in the log. Stored events, which are hashed, and JSON keep `cut`. */
export function decisionInWords(decision: AuditDecision): string {
  return decision === 'cut' ? 'revoked' : decision
}

/** Who did it, in words: `alice (token 3)`, `root (shell)`, `gitgate`. */
export function actorInWords({ via, username, tokenId, impersonator, operator }: AuditRow): string {
  if (operator !== null) return `${operator} (shell)`
  if (username === null && tokenId === null) return via === 'gate' ? 'gitgate' : 'nobody'
  const token = tokenId === null ? '' : ` (token ${tokenId})`
  return `${username ?? '?'}${impersonator === null ? '' : ` by ${impersonator}`}${token}`
}

/** What it was done to, in words: `team/app refs/heads/main and 2 more`, `setting:push_to_create`. */
export function subjectInWords({ repository, target, refs, details }: AuditRow): string {
  const [first, ...others] = refs ?? []
  const more = others.length + Number(details?.['more_refs'] ?? 0)
  const changes = first === undefined ? '' : ` ${first.ref}${more === 0 ? '' : ` and ${more} more`}`
  return `${repository ?? target ?? '-'}${changes}`
}
