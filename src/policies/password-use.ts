import type { Account } from '../accounts/account.js'
import type { Settings } from './settings.js'

/** Why a password is not taken for Git although it may be right. */
export type TokenOnlyReason = 'two-factor-enabled' | 'two-factor-required' | 'passwords-off'

/**
 * Whether Git takes only a token from an account (GitLab: with two-factor authentication on, a token is the only accepted
 * password).
 *
 * @returns why, or `undefined` where a password may do
 */
export function tokenOnlyReason(account: Account, settings: Settings): TokenOnlyReason | undefined {
  if (!settings.password_authentication_enabled_for_git) return 'passwords-off'
  if (account.twoFactorEnabled) return 'two-factor-enabled'
  return settings.require_two_factor_authentication ? 'two-factor-required' : undefined
}
