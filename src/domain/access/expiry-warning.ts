import { DAY, utcDate } from '../../core/clock.js'
import type { PersonalAccessToken } from '../tokens/token.js'

const WARNING_PERIOD_MS = 7 * DAY

/**
 * What the holder of a token is told in its last seven days; `undefined` before.
 *
 * @param tokensPage where tokens are made
 */
export function expiryWarning(
  { name, expiresAt }: Pick<PersonalAccessToken, 'name' | 'expiresAt'>,
  now: Date,
  tokensPage: string,
): string | undefined {
  if (expiresAt === null) return undefined
  const left = expiresAt.getTime() - now.getTime()
  if (left <= 0 || left >= WARNING_PERIOD_MS) return undefined
  const when = left < DAY ? `at ${expiresAt.toISOString().slice(0, 16)}Z` : `on ${utcDate(expiresAt)}`
  return `Your token "${name}" expires ${when}. Renew it at ${tokensPage}`
}
