import { GitgateError } from '../../core/errors.js'
import { printable } from '../../core/printable.js'
import type { AuditContext } from '../audit/event.js'
import { DEFAULT_PREFIX } from '../tokens/token-secret.js'
import { parseAddressList } from '../../core/address-list.js'
import { DAY, utcDate } from '../../core/clock.js'
import type { IssueRules } from '../tokens/issue.js'

/** One setting: its default, what it does, and how a text becomes its value. */
type Setting<T> = {
  readonly fallback: T
  /** Its label on the settings page. */
  readonly title: string
  /** What it does, in one sentence without capital and full stop: for the settings page, `settings list` and the API. */
  readonly summary: string
  /** What a form asks for, such as `a whole number from 1 to 10`. */
  readonly hint: string | undefined
  /** @throws GitgateError `invalid`, without the setting's name */
  readonly parse: (text: string) => T
}

// GitLab's rule for the prefix: letters of the Base64 alphabets and a few more.
const PREFIX = /^[a-zA-Z0-9_+=/@:.-]*$/
const MAX_PREFIX = 20
// A map: an object would also have words such as `constructor`.
const FLAG_WORDS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['on', true],
  ['off', false],
  ['yes', true],
  ['no', false],
  ['1', true],
  ['0', false],
])

/** Every setting of an instance, by GitLab's names. Kept in the store, changed while the gate runs. */
const SETTINGS = {
  enforce_pat_expiration: flag(
    true,
    'Enforce token expiry',
    'expired tokens are refused; if off, they work until revoked',
  ),
  max_personal_access_token_lifetime: wholeNumberOrNull(
    1,
    36_500,
    'Maximum token lifetime (days)',
    'new tokens must expire within this time; existing tokens that live longer are revoked after three hours',
  ),
  require_personal_access_token_expiry: flag(false, 'Require an expiry date', 'new tokens must expire'),
  personal_access_token_prefix: {
    fallback: DEFAULT_PREFIX,
    title: 'Token prefix',
    summary: 'new tokens start with this text of up to 20 characters',
    hint: undefined,
    parse: parsePrefix,
  } satisfies Setting<string>,
  password_authentication_enabled_for_git: flag(
    true,
    'Allow passwords with Git',
    'accounts without two-factor authentication can use their password with Git',
  ),
  require_two_factor_authentication: flag(
    false,
    'Require two-factor authentication',
    'every account must set up two-factor authentication, and Git accepts only tokens',
  ),
  two_factor_grace_period: wholeNumber(
    0,
    0,
    3_650,
    'Two-factor grace period (days)',
    'how long an account has to set up two-factor authentication once it is required or the account is created',
  ),
  session_expire_delay: wholeNumber(
    480,
    1,
    10_080,
    'Session timeout (minutes)',
    'a browser session ends after this long without a request, and after a week in any case',
  ),
  disable_personal_access_tokens: flag(
    false,
    'Disable personal access tokens',
    'all personal access tokens are refused, and none can be created',
  ),
  impersonation_enabled: flag(
    true,
    'Allow impersonation tokens',
    'administrators can act as other accounts; if off, impersonation tokens are refused',
  ),
  receive_max_input_size: wholeNumberOrNull(1, 1_000_000, 'Maximum push size (MiB)', 'larger pushes are refused'),
  allow_unproven_fast_forwards: flag(
    false,
    'Allow unproven fast-forwards',
    "with an upstream server: allow updates that gitgate can't prove to be fast-forwards, even where force-pushing is forbidden",
  ),
  push_to_create: flag(
    true,
    'Create repositories on push',
    'the first push by an admin of the path creates the repository (embedded server only)',
  ),
  audit_retention: wholeNumberOrNull(1, 36_500, 'Audit log retention (days)', 'older events are deleted'),
  git_basic_auth_enabled: flag(true, 'Ban addresses', 'addresses with too many failed sign-ins are banned'),
  git_basic_auth_maxretry: wholeNumber(
    10,
    1,
    10_000,
    'Failed sign-ins before a ban',
    'this many failures within the counting period lead to a ban',
  ),
  git_basic_auth_findtime: wholeNumber(
    60,
    1,
    86_400,
    'Counting period (seconds)',
    'how long failed sign-ins are counted towards a ban',
  ),
  git_basic_auth_bantime: wholeNumber(3_600, 1, 604_800, 'Ban duration (seconds)', 'how long a ban lasts'),
  git_basic_auth_ip_allowlist: {
    fallback: ['127.0.0.1', '::1'],
    title: 'Addresses never banned',
    summary: 'comma-separated addresses and networks that are never banned',
    hint: undefined,
    parse: parseAddressList,
  } satisfies Setting<readonly string[]>,
} as const

export type SettingKey = keyof typeof SETTINGS

/** The value of every setting. */
export type Settings = { readonly [K in SettingKey]: ReturnType<(typeof SETTINGS)[K]['parse']> }

/** Where settings are kept: only those that were changed, as the texts that {@link parseSetting} reads. */
export interface SettingStore {
  list(): Promise<ReadonlyMap<string, string>>
  /** Sets all of them, or none. */
  set(context: AuditContext, changes: ReadonlyMap<SettingKey, string>, now: Date): Promise<void>
  /** When it was set last; `undefined` where it never was. */
  setAt(key: SettingKey): Promise<Date | undefined>
}

/** All keys, in the order in which they are shown. */
export const SETTING_KEYS = Object.keys(SETTINGS) as readonly SettingKey[]

/** What people call a setting, with its unit. */
export function settingTitle(key: SettingKey): string {
  return SETTINGS[key].title
}

/** The value of a setting that was never changed. */
export function settingDefault(key: SettingKey): Settings[SettingKey] {
  return SETTINGS[key].fallback
}

/** What a setting does, in one sentence. */
export function settingSummary(key: SettingKey): string {
  return SETTINGS[key].summary
}

/**
 * Finds a setting by its name.
 *
 * @throws GitgateError `not-found`
 */
export function parseSettingKey(key: string): SettingKey {
  if (Object.hasOwn(SETTINGS, key)) return key as SettingKey
  throw new GitgateError(
    'not-found',
    `there is no setting "${printable(key)}"; to list settings: gitgate settings list`,
  )
}

/**
 * Reads the value of a setting.
 *
 * @throws GitgateError `invalid`, naming the setting and what it takes
 */
export function parseSetting<K extends SettingKey>(key: K, text: string): Settings[K] {
  const problem = settingProblem(key, text)
  if (problem !== undefined) throw new GitgateError('invalid', `${key}: ${problem}`)
  return SETTINGS[key].parse(text) as Settings[K]
}

/** Why a text is not a value of a setting, as a clause without the setting's name; `undefined` if it is one. */
export function settingProblem(key: SettingKey, text: string): string | undefined {
  try {
    SETTINGS[key].parse(text)
    return undefined
  } catch (error) {
    if (error instanceof GitgateError) return error.message
    throw error
  }
}

/** What to enter for a setting in a form, where an empty field is `null`; `undefined` if only {@link settingProblem} can say. */
export function settingHint(key: SettingKey): string | undefined {
  return SETTINGS[key].hint
}

/**
 * All settings: what is stored, and the default for the rest.
 *
 * @throws GitgateError `invalid` when a stored value was edited into something that can't be read
 */
export function resolveSettings(stored: ReadonlyMap<string, string>): Settings {
  const entries = SETTING_KEYS.map((key) => {
    const text = stored.get(key)
    return [key, text === undefined ? SETTINGS[key].fallback : parseSetting(key, text)]
  })
  return Object.fromEntries(entries) as Settings
}

/** A value as the text that {@link parseSetting} reads. */
export function formatSetting(value: Settings[SettingKey]): string {
  if (value === null) return 'null'
  return typeof value === 'object' ? value.join(',') : String(value)
}

function flag(fallback: boolean, title: string, summary: string): Setting<boolean> {
  const hint = 'true or false'
  const parse = (text: string): boolean => {
    const value = FLAG_WORDS.get(text.trim().toLowerCase())
    if (value === undefined) throw new GitgateError('invalid', `takes ${hint}`)
    return value
  }
  return { fallback, title, summary, hint, parse }
}

function wholeNumber(fallback: number, min: number, max: number, title: string, summary: string): Setting<number> {
  const hint = `a whole number from ${min} to ${max}`
  const parse = (text: string): number => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN
    if (Number.isNaN(value) || value < min || value > max) {
      throw new GitgateError('invalid', `takes ${hint}`)
    }
    return value
  }
  return { fallback, title, summary, hint, parse }
}

function wholeNumberOrNull(min: number, max: number, title: string, summary: string): Setting<number | null> {
  const number = wholeNumber(min, min, max, title, summary)
  const parse = (text: string): number | null => {
    if (['null', 'none', ''].includes(text.trim().toLowerCase())) return null
    try {
      return number.parse(text)
    } catch {
      throw new GitgateError('invalid', `takes ${number.hint}, or null for no limit`)
    }
  }
  const hint = `${number.hint}, or leave it empty for no limit`
  return { fallback: null, title, summary: `${summary} (null: no limit)`, hint, parse }
}

function parsePrefix(text: string): string {
  if (text.length > MAX_PREFIX) throw new GitgateError('invalid', `is too long (maximum is ${MAX_PREFIX} characters)`)
  if (!PREFIX.test(text)) {
    throw new GitgateError(
      'invalid',
      "can contain only letters of the Base64 alphabet (RFC4648) with the addition of '@', ':' and '.'",
    )
  }
  return text
}

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
