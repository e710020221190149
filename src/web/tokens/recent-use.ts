import type { AddressUse, ProgramUse, RepositoryUse } from '../../domain/audit/usage.js'
import { usesOfAddresses, usesOfPrograms, usesOfRepositories } from '../../domain/audit/usage.js'
import { DAY } from '../../core/clock.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import type { PageOptions } from '../web-options.js'

const PERIOD_DAYS = 30
// To add up half a million rows takes seconds, and nobody looks through so many.
const MAX_ROWS = 1_000
/** As many as one looks through. */
const SHOWN_ENTRIES = 10

/** What used a token lately, and the tokens derived from it: what will stop working with it. */
export type RecentUse = {
  readonly days: number
  readonly requests: number
  readonly last: Date | undefined
  readonly repositories: Some<RepositoryUse>
  readonly addresses: Some<AddressUse>
  readonly programs: Some<ProgramUse>
  /** From when on that is known, where the audit trail does not go back so far. */
  readonly knownSince: Date | undefined
  /** From when on it was counted, where it was used too often for all of it. */
  readonly countedSince: Date | undefined
}

type Some<T> = { readonly shown: readonly T[]; readonly more: number }

/** Reads from the audit trail what used a token within the last 30 days. */
export async function recentUse(
  { id, createdAt }: PersonalAccessToken,
  { access, audit, tokens }: Pick<PageOptions, 'access' | 'audit' | 'tokens'>,
): Promise<RecentUse> {
  const since = new Date(access.now().getTime() - PERIOD_DAYS * DAY)
  const { usage: all, countedSince } = await audit.recentUsage(await tokens.family(id), since, MAX_ROWS)
  // A push is a row when it begins, and one when it has ended.
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
