import { DAY, MINUTE, utcTime } from '../../core/clock.js'
import type { Account, AccountStore } from '../accounts/account.js'
import type { BriefToken } from '../tokens/token.js'
import type { TokenStore } from '../tokens/store.js'
import { tokenState } from '../tokens/token.js'
import { REVOCATION_DELAY_MS, tooLongLived } from './lifetime.js'
import { tokenOnlyReason, twoFactorDeadline } from './password-use.js'
import type { SettingKey, Settings, SettingStore } from './settings.js'

/** Accounts and tokens that a change of settings would affect. */
export type Effect =
  /** Revoked permanently after {@link REVOCATION_DELAY_MS}. */
  | { readonly kind: 'tokens-revoked'; readonly tokens: readonly BriefToken[]; readonly at: Date }
  /** Refused as long as the setting stays. */
  | { readonly kind: 'tokens-refused'; readonly tokens: readonly BriefToken[] }
  /** Works again although it has expired. */
  | { readonly kind: 'tokens-revived'; readonly tokens: readonly BriefToken[] }
  /** From some time on, Git accepts only tokens from them, and on the pages they can only set up a second factor. */
  | { readonly kind: 'second-factor-needed'; readonly accounts: readonly Account[]; readonly from: Date }
  /** Git no longer accepts their password. */
  | { readonly kind: 'passwords-refused'; readonly accounts: readonly Account[] }
  /** Older audit events are deleted permanently when the log is next pruned. */
  | { readonly kind: 'audit-events-pruned'; readonly before: Date }
  /** Users who have been idle in the browser since then are signed out. */
  | { readonly kind: 'sessions-ended'; readonly idleSince: Date }

const ABOUT_TOKENS: readonly SettingKey[] = [
  'enforce_pat_expiration',
  'max_personal_access_token_lifetime',
  'disable_personal_access_tokens',
  'impersonation_enabled',
]
const ABOUT_ACCOUNTS: readonly SettingKey[] = [
  'require_two_factor_authentication',
  'two_factor_grace_period',
  'password_authentication_enabled_for_git',
]

/** The stores of what a change may affect. */
export type EffectSources = {
  readonly tokens: Pick<TokenStore, 'listBriefly'>
  readonly accounts: Pick<AccountStore, 'list'>
  readonly settings: Pick<SettingStore, 'setAt'>
  /** When the audit log begins; `undefined` if it is empty. */
  readonly audit: { begin(): Promise<Date | undefined> }
}

/** What a change of settings would do to existing accounts and tokens if it were made now. */
export async function foreseeEffects(
  { tokens, accounts, settings, audit }: EffectSources,
  before: Settings,
  after: Settings,
  now: Date,
): Promise<Effect[]> {
  const isAbout = (keys: readonly SettingKey[]): boolean => keys.some((key) => before[key] !== after[key])
  const effects: readonly Effect[] = [
    ...(isAbout(ABOUT_TOKENS) ? effectsOnTokens(await tokens.listBriefly(), before, after, now) : []),
    ...(isAbout(ABOUT_ACCOUNTS)
      ? effectsOnAccounts(
          (await accounts.list()).filter(({ state }) => state === 'active'),
          before,
          after,
          now,
          await settings.setAt('require_two_factor_authentication'),
        )
      : []),
    ...effectsOnAuditLog(await audit.begin(), before, after, now),
    ...effectsOnSessions(before, after, now),
  ]
  return effects.filter((effect) => whomOf(effect)?.length !== 0)
}

/** The names of the affected accounts or tokens, if known. */
function whomOf(effect: Effect): readonly (BriefToken | Account)[] | undefined {
  return 'tokens' in effect ? effect.tokens : 'accounts' in effect ? effect.accounts : undefined
}

function effectsOnAuditLog(begin: Date | undefined, before: Settings, after: Settings, now: Date): Effect[] {
  const keptFrom = ({ audit_retention: days }: Settings): number => (days === null ? 0 : now.getTime() - days * DAY)
  const isLost = begin !== undefined && begin.getTime() < keptFrom(after) && keptFrom(before) < keptFrom(after)
  return isLost ? [{ kind: 'audit-events-pruned', before: new Date(keptFrom(after)) }] : []
}

function effectsOnSessions(before: Settings, after: Settings, now: Date): Effect[] {
  if (after.session_expire_delay >= before.session_expire_delay) return []
  return [{ kind: 'sessions-ended', idleSince: new Date(now.getTime() - after.session_expire_delay * MINUTE) }]
}

function effectsOnTokens(tokens: readonly BriefToken[], before: Settings, after: Settings, now: Date): Effect[] {
  const isNewLimit = before.max_personal_access_token_lifetime !== after.max_personal_access_token_lifetime
  const works = (token: BriefToken, settings: Settings): boolean =>
    !settings.disable_personal_access_tokens &&
    (settings.impersonation_enabled || !token.impersonation) &&
    tokenState(token, now, settings.enforce_pat_expiration) === 'active'
  return [
    {
      kind: 'tokens-revoked',
      tokens: isNewLimit ? tooLongLived(tokens, after, now) : [],
      at: new Date(now.getTime() + REVOCATION_DELAY_MS),
    },
    { kind: 'tokens-refused', tokens: tokens.filter((token) => works(token, before) && !works(token, after)) },
    { kind: 'tokens-revived', tokens: tokens.filter((token) => !works(token, before) && works(token, after)) },
  ]
}

/** @param requiredSince when two-factor authentication last became required, before the change */
function effectsOnAccounts(
  accounts: readonly Account[],
  before: Settings,
  after: Settings,
  now: Date,
  requiredSince: Date | undefined,
): Effect[] {
  const isNew = after.require_two_factor_authentication !== before.require_two_factor_authentication
  const since = isNew ? now : requiredSince
  const needs = (account: Account): boolean =>
    twoFactorDeadline(account, before, requiredSince) === undefined &&
    twoFactorDeadline(account, after, since) !== undefined
  const loses = (account: Account): boolean =>
    account.passwordHash !== null &&
    tokenOnlyReason(account, before, now, requiredSince) === undefined &&
    tokenOnlyReason(account, after, now, since) !== undefined
  const needing = accounts.filter(needs)
  const deadlines = needing.map((account) => twoFactorDeadline(account, after, since)?.getTime() ?? Infinity)
  return [
    {
      kind: 'second-factor-needed',
      accounts: needing,
      from: new Date(needing.length === 0 ? now : Math.max(now.getTime(), Math.min(...deadlines))),
    },
    { kind: 'passwords-refused', accounts: accounts.filter(loses) },
  ]
}

/** An effect in words, to stand between the count and the names. */
export function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'tokens-revoked':
      return `${counted(effect.tokens.length, 'token exceeds', 'tokens exceed')} the maximum lifetime and will be revoked at ${utcTime(effect.at)}`
    case 'tokens-refused':
      return `${counted(effect.tokens.length, 'token', 'tokens')} would be refused immediately`
    case 'tokens-revived':
      return `${counted(effect.tokens.length, 'token', 'tokens')} would work again`
    case 'second-factor-needed':
      return `${counted(effect.accounts.length, 'account has', 'accounts have')} no second factor and would need one from ${utcTime(effect.from)}`
    case 'passwords-refused':
      return `${counted(effect.accounts.length, 'account', 'accounts')} could no longer use ${effect.accounts.length === 1 ? 'its password' : 'their passwords'} with Git`
    case 'audit-events-pruned':
      return `audit events from before ${utcTime(effect.before)} will be deleted within a day`
    case 'sessions-ended':
      return `users idle in the browser since ${utcTime(effect.idleSince)} will be signed out`
  }
}

function counted(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}
