import { DAY } from '../../core/clock.js'
import type { IssueRules } from '../tokens/issue.js'

/** A lifetime that is offered for a new token. */
export type ExpiryChoice = {
  /** As `parseExpirySpan` reads it. */
  readonly span: string
  /** `null`: it never expires. */
  readonly days: number | null
  readonly isDefault: boolean
  /** The longest that the lifetime limit allows. */
  readonly isLongest: boolean
}

const OFFERED = [7, 30, 60, 90, 365]
/** What GitLab's form begins with. */
const USUAL = 30

/** How many days a token may live at most; `undefined`: no limit. */
export function lifetimeLimit({ latestExpiry }: IssueRules, now: Date): number | undefined {
  return latestExpiry === null ? undefined : Math.ceil((latestExpiry.getTime() - now.getTime()) / DAY)
}

/** The lifetimes that the rules allow, the shortest first; where the limit is none of the usual ones, it is one more. */
export function expiryChoices(rules: IssueRules, now: Date): ExpiryChoice[] {
  const limit = lifetimeLimit(rules, now)
  const usual = OFFERED.filter((days) => limit === undefined || days <= limit)
  const all = limit === undefined || limit > Math.max(...OFFERED) ? usual : [...new Set([...usual, limit])]
  const begin = Math.max(...all.filter((days) => days <= USUAL), Math.min(...all))
  const spans = all.map((days) => ({
    span: `${days}d`,
    days,
    isDefault: days === begin,
    isLongest: days === limit,
  }))
  const never = { span: 'never', days: null, isDefault: false, isLongest: false }
  return limit === undefined && !rules.expiryRequired ? [...spans, never] : spans
}
