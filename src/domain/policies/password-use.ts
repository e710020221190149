import { DAY } from '../../core/clock.js'
import type { Account } from '../accounts/account.js'
import { checkNewPassword } from '../accounts/password.js'
import { GitgateError } from '../../core/errors.js'
import type { Secret } from '../../core/secret.js'
import { DEFAULT_PREFIX, secretShape } from '../tokens/token-secret.js'
import type { Settings } from './settings.js'

/**
 * Checks a new password, and that it would ever be looked at: what begins like a token is taken for one.
 *
 * @throws GitgateError `invalid`, saying which rule is broken
 */
export function checkPassword(
  password: Secret,
  account: Pick<Account, 'username' | 'email'>,
  settings: Settings,
): void {
  checkNewPassword(password, account)
  const prefixes = [settings.personal_access_token_prefix, DEFAULT_PREFIX]
  if (secretShape(password, prefixes) === 'other') return
  throw new GitgateError(
    'invalid',
    `a password can't look like a token: it must not begin with ${prefixes.join(' or ')}`,
    { field: 'password' },
  )
}

/** Why a password is not taken for Git although it may be right. */
export type TokenOnlyReason = 'two-factor-enabled' | 'two-factor-required' | 'passwords-off'

/**
 * Whether Git takes only a token from an account (GitLab: with two-factor authentication on, a token is the only accepted
 * password).
 *
 * @param requiredSince when two-factor authentication was required last; an account has the setting
 *   `two_factor_grace_period` from then, or from its own beginning, to switch it on
 * @returns why, or `undefined` where a password may do
 */
export function tokenOnlyReason(
  account: Account,
  settings: Settings,
  now: Date,
  requiredSince: Date | undefined,
): TokenOnlyReason | undefined {
  if (!settings.password_authentication_enabled_for_git) return 'passwords-off'
  if (account.twoFactorEnabled) return 'two-factor-enabled'
  const deadline = twoFactorDeadline(account, settings, requiredSince)
  return deadline === undefined || now < deadline ? undefined : 'two-factor-required'
}

/** From when on an account must have two-factor authentication on; `undefined` where it need not, or has. */
export function twoFactorDeadline(
  account: Pick<Account, 'createdAt' | 'twoFactorEnabled'>,
  settings: Settings,
  requiredSince: Date | undefined,
): Date | undefined {
  if (account.twoFactorEnabled || !settings.require_two_factor_authentication) return undefined
  const begun = Math.max(account.createdAt.getTime(), requiredSince?.getTime() ?? 0)
  return new Date(begun + settings.two_factor_grace_period * DAY)
}
