import type { AuditRow } from './event.js'
import type { AuditQuery, AuditStore } from './audit-log.js'
import type { AddressUse, RepositoryUse } from './usage.js'
import { usesOfAddresses, usesOfRepositories } from './usage.js'

/** A ref that a push moved. */
export type RefMove = {
  readonly at: Date
  readonly repository: string | null
  readonly ref: string
  readonly old: string
  readonly new: string
  readonly ip: string | null
  readonly requestId: string | null
  /** Whether it is known to have moved: a push that was cut off may or may not have moved it. */
  readonly isCertain: boolean
}

/** What was done with tokens since an instant: what a leak means. */
export type TokenReport = {
  readonly repositories: readonly RepositoryUse[]
  readonly addresses: readonly AddressUse[]
  readonly moves: readonly RefMove[]
  /** What was changed over the API, and the tokens that were made with them. */
  readonly changes: readonly AuditRow[]
  /** Refused requests. */
  readonly refused: number
}

const PAGE_ROWS = 1_000

/** Gathers what was done with tokens. @param tokens their numbers: of one, and of those derived from it */
export async function reportOn(
  store: Pick<AuditStore, 'list' | 'usage'>,
  tokens: readonly number[],
  since: Date,
): Promise<TokenReport> {
  const usage = await store.usage(tokens, since)
  const all = async (query: Partial<AuditQuery>): Promise<AuditRow[]> => {
    const found: AuditRow[] = []
    for (let after = 0; ;) {
      const rows = await store.list({ tokens, since, ...query, after, limit: PAGE_ROWS, oldestFirst: true })
      found.push(...rows)
      after = rows.at(-1)?.id ?? after
      if (rows.length < PAGE_ROWS) return found
    }
  }
  const ended = await all({ action: 'git.pushed' })
  const known = new Set(ended.map(({ requestId }) => requestId))
  // Of a push during which the gate died only the beginning was written.
  const begun = (await all({ action: 'git.push', decision: 'allowed' })).filter(
    ({ requestId }) => !known.has(requestId),
  )
  const moves = [
    ...ended.flatMap(movesOf),
    ...begun.flatMap(movesOf).map((move) => ({ ...move, isCertain: false })),
  ].toSorted((one, other) => one.at.getTime() - other.at.getTime())
  const changes = (await all({ via: 'api' })).filter(
    ({ tokenId, action }) => tokens.includes(tokenId ?? 0) && action !== 'auth.refused',
  )
  return {
    repositories: usesOfRepositories(usage),
    addresses: usesOfAddresses(usage),
    moves,
    changes,
    refused: usage.filter(({ decision }) => decision === 'refused').reduce((sum, { count }) => sum + count, 0),
  }
}

function movesOf({ at, repository, refs, ip, requestId, decision, details }: AuditRow): RefMove[] {
  const isCertain = decision === 'allowed' && details?.['refs'] !== 'unknown'
  return (refs ?? []).map((change) => ({ at, repository, ...change, ip, requestId, isCertain }))
}
