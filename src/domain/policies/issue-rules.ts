import { DAY, utcDate } from '../../core/clock.js'
import type { IssueRules } from '../tokens/issue.js'
import type { Settings } from './settings.js'

/** The rules for new tokens that follow from the settings: one place for the command line, the API and the pages. */
export function issueRules(settings: Settings, now: Date): IssueRules {
  const days = settings.max_personal_access_token_lifetime
  // A date means midnight UTC, so the limit counts from the midnight before now.
  const today = new Date(`${utcDate(now)}T00:00:00.000Z`).getTime()
  return {
    prefix: settings.personal_access_token_prefix,
    latestExpiry: days === null ? null : new Date(today + days * DAY),
    expiryRequired: settings.require_personal_access_token_expiry,
    disabled: settings.disable_personal_access_tokens,
  }
}
