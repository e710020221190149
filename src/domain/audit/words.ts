import type { AuditRow } from './event.js'

/** Who did it, in words: `alice (token 3)`, `root (shell)`, `gitgate`. */
export function actorInWords({ via, username, tokenId, impersonator, operator }: AuditRow): string {
  if (operator !== null) return `${operator} (shell)`
  if (username === null && tokenId === null) return via === 'gate' ? 'gitgate' : 'nobody'
  const token = tokenId === null ? '' : ` (token ${tokenId})`
  return `${username ?? '?'}${impersonator === null ? '' : ` by ${impersonator}`}${token}`
}

/** What it was done to, in words: `team/app refs/heads/main and 2 more`, `setting:push_to_create`. */
export function subjectInWords({ repository, target, refs }: AuditRow): string {
  const [first, ...others] = refs ?? []
  const changes = first === undefined ? '' : ` ${first.ref}${others.length === 0 ? '' : ` and ${others.length} more`}`
  return `${repository ?? target ?? '-'}${changes}`
}
