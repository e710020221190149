import type { AuditAction, AuditDecision } from './event.js'

/** How often tokens did one kind of thing to one repository from one address. */
export type Usage = {
  readonly repository: string | null
  readonly action: AuditAction
  readonly decision: AuditDecision
  readonly ip: string | null
  readonly userAgent: string | null
  readonly count: number
  readonly first: Date
  readonly last: Date
  readonly bytesIn: number
  readonly bytesOut: number
}

/** What tokens did of late. */
export type RecentUsage = {
  readonly usage: readonly Usage[]
  /** The oldest row that was counted, where there are older ones that were not; `undefined`: all were. */
  readonly countedSince: Date | undefined
}

/** How many different repositories were fetched from, and pushed to. */
export type UsedRepositories = { readonly read: number; readonly written: number }

/** What tokens did with one repository. */
export type RepositoryUse = {
  readonly repository: string
  /** How often objects were fetched from it; listing its refs does not count. */
  readonly fetches: number
  readonly pushes: number
  readonly refused: number
  readonly bytesOut: number
  readonly first: Date
  readonly last: Date
}

/** What tokens were used with. */
export type ProgramUse = {
  readonly program: string
  readonly requests: number
  readonly first: Date
  readonly last: Date
}

/** Where tokens were used from. */
export type AddressUse = { readonly ip: string; readonly requests: number; readonly first: Date; readonly last: Date }

/** What was done with each repository, the last used first. */
export function usesOfRepositories(usage: readonly Usage[]): RepositoryUse[] {
  return grouped(usage, ({ repository }) => repository).map(([repository, parts]) => ({
    repository,
    fetches: countOf(parts, 'git.fetch', 'allowed'),
    pushes: countOf(parts, 'git.pushed', 'allowed'),
    refused: parts.filter(({ decision }) => decision === 'refused').reduce((sum, { count }) => sum + count, 0),
    bytesOut: parts.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
    ...spanOf(parts),
  }))
}

/** Where the requests came from, the last one first. */
export function usesOfAddresses(usage: readonly Usage[]): AddressUse[] {
  return grouped(usage, ({ ip }) => ip).map(([ip, parts]) => ({
    ip,
    requests: parts.reduce((sum, { count }) => sum + count, 0),
    ...spanOf(parts),
  }))
}

/** What they were made with, the last one first. */
export function usesOfPrograms(usage: readonly Usage[]): ProgramUse[] {
  return grouped(usage, ({ userAgent }) => userAgent).map(([program, parts]) => ({
    program,
    requests: parts.reduce((sum, { count }) => sum + count, 0),
    ...spanOf(parts),
  }))
}

function grouped(usage: readonly Usage[], keyOf: (part: Usage) => string | null): [string, Usage[]][] {
  const groups = new Map<string, Usage[]>()
  for (const part of usage) {
    const key = keyOf(part)
    if (key === null) continue
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [part])
    else group.push(part)
  }
  return [...groups]
    .map(([key, parts]) => ({ key, parts, last: spanOf(parts).last.getTime() }))
    .toSorted((one, other) => other.last - one.last)
    .map(({ key, parts }) => [key, parts])
}

function countOf(parts: readonly Usage[], action: AuditAction, decision: AuditDecision): number {
  return parts
    .filter((part) => part.action === action && part.decision === decision)
    .reduce((sum, { count }) => sum + count, 0)
}

function spanOf(parts: readonly Usage[]): { readonly first: Date; readonly last: Date } {
  let [from, to] = [Infinity, -Infinity]
  for (const { first, last } of parts) {
    from = Math.min(from, first.getTime())
    to = Math.max(to, last.getTime())
  }
  return { first: new Date(from), last: new Date(to) }
}
