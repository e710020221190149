import { HOUR } from '../../core/clock.js'
import { GATE_CONTEXT } from '../audit/event.js'
import type { BriefToken } from '../tokens/token.js'
import type { TokenStore } from '../tokens/store.js'
import { tokenState } from '../tokens/token.js'
import { latestInstant } from '../tokens/issue.js'
import { issueRules, resolveSettings } from './settings.js'
import type { Settings, SettingStore } from './settings.js'

/** Tokens that exceed a new limit are revoked after this time, as in GitLab, so that the change can be undone. */
export const REVOCATION_DELAY_MS = 3 * HOUR

/** The tokens that live longer than `max_personal_access_token_lifetime` allows for new ones, and those derived from them. */
export function tooLongLived(tokens: readonly BriefToken[], settings: Settings, now: Date): BriefToken[] {
  const { latestExpiry } = issueRules(settings, now)
  if (latestExpiry === null) return []
  const active = tokens.filter((token) => tokenState(token, now, settings.enforce_pat_expiration) === 'active')
  const latest = latestInstant(latestExpiry, now)
  const ended = new Set(active.filter(({ expiresAt }) => expiresAt === null || expiresAt > latest).map(({ id }) => id))
  return active.filter(({ id, parentId }) => ended.has(id) || (parentId !== null && ended.has(parentId)))
}

/**
 * Revokes the tokens that live longer than the limit, once that has been in force for three hours.
 *
 * @returns the revoked tokens
 */
export async function revokeTooLongLived(
  tokens: TokenStore,
  store: SettingStore,
  now: Date,
): Promise<readonly BriefToken[]> {
  const since = await store.setAt('max_personal_access_token_lifetime')
  if (since === undefined || now.getTime() < since.getTime() + REVOCATION_DELAY_MS) return []
  const settings = resolveSettings(await store.list())
  if (settings.max_personal_access_token_lifetime === null) return []
  const tooLong = tooLongLived(await tokens.listBriefly(), settings, now)
  for (const { id } of tooLong) await tokens.revoke(GATE_CONTEXT, id, now, 'max_personal_access_token_lifetime')
  return tooLong
}
