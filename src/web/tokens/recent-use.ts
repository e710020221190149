import type { AddressUse, ProgramUse, RepositoryUse } from '../../domain/audit/usage.js'
import { usesOfAddresses, usesOfPrograms, usesOfRepositories } from '../../domain/audit/usage.js'
import { DAY } from '../../core/clock.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import type { PageOptions } from '../web-options.js'

const PERIOD_DAYS = 30
// Adding up half a million events takes seconds.
const MAX_ROWS = 1_000
/** How many programs and repositories are listed. */
const SHOWN_ENTRIES = 10

/** What has used a token recently, or tokens derived from it, and will stop working without it. */
export type RecentUse = {
  readonly days: number
  readonly requests: number
  readonly last: Date | undefined
  readonly repositories: Some<RepositoryUse>
  readonly addresses: Some<AddressUse>
  readonly programs: Some<ProgramUse>
  /** When the audit log begins, if it doesn't cover the period. */
  readonly knownSince: Date | undefined
  /** When counting began, if there were too many uses to count all. */
  readonly countedSince: Date | undefined
}

type Some<T> = { readonly shown: readonly T[]; readonly more: number }

/** Reads what used a token in the last 30 days from the audit log. */
export async function recentUse(
  { id, createdAt }: PersonalAccessToken,
  { access, audit, tokens }: Pick<PageOptions, 'access' | 'audit' | 'tokens'>,
): Promise<RecentUse> {
  const since = new Date(access.now().getTime() - PERIOD_DAYS * DAY)
  const { usage: all, countedSince } = await audit.recentUsage(await tokens.lineage(id), since, MAX_ROWS)
  // A push has an event when it begins, and one when it has ended.
  const usage = all.filter(({ action, decision }) => action !== 'git.push' || decision === 'refused')
  const begin = await audit.begin()
  const isKnown = begin !== undefined && begin <= (createdAt > since ? createdAt : since)
  return {
    days: PERIOD_DAYS,
    requests: usage.reduce((sum, { count }) => sum + count, 0),
    last: usage.reduce<Date | undefined>((last, use) => (last && last > use.last ? last : use.last), undefined),
    repositories: some(usesOfRepositories(usage)),
    addresses: some(usesOfAddresses(usage)),
    programs: some(usesOfPrograms(usage)),
    knownSince: isKnown ? undefined : begin,
    countedSince,
  }
}

function some<T>(all: readonly T[]): Some<T> {
  return { shown: all.slice(0, SHOWN_ENTRIES), more: Math.max(0, all.length - SHOWN_ENTRIES) }
}
