import { DAY } from '../../core/clock.js'
import type { IssueRules } from '../tokens/issue.js'

/** A lifetime that the form for a new token offers. */
export type ExpiryChoice = {
  /** In the format of `parseExpirySpan`. */
  readonly span: string
  /** `null`: it never expires. */
  readonly days: number | null
  readonly isDefault: boolean
  /** The longest that the lifetime limit allows. */
  readonly isLongest: boolean
}

const OFFERED_DAYS = [7, 30, 60, 90, 365]
/** The default of GitLab's form. */
const DEFAULT_DAYS = 30

/** The maximum lifetime of a token, in days; `undefined`: no limit. */
export function lifetimeLimit({ latestExpiry }: IssueRules, now: Date): number | undefined {
  return latestExpiry === null ? undefined : Math.ceil((latestExpiry.getTime() - now.getTime()) / DAY)
}

/** The lifetimes that the rules allow, shortest first. The limit itself is added if it isn't among the usual ones. */
export function expiryChoices(rules: IssueRules, now: Date): ExpiryChoice[] {
  const limit = lifetimeLimit(rules, now)
  const usual = OFFERED_DAYS.filter((days) => limit === undefined || days <= limit)
  const all = limit === undefined || limit > Math.max(...OFFERED_DAYS) ? usual : [...new Set([...usual, limit])]
  const defaultDays = Math.max(...all.filter((days) => days <= DEFAULT_DAYS), Math.min(...all))
  const spans = all.map((days) => ({
    span: `${days}d`,
    days,
    isDefault: days === defaultDays,
    isLongest: days === limit,
  }))
  const never = { span: 'never', days: null, isDefault: false, isLongest: false }
  return limit === undefined && !rules.expiryRequired ? [...spans, never] : spans
}
