import fc from 'fast-check'
import t from 'tap'
import { DAY } from '../../../src/core/clock.js'
import type { Test } from 'tap'
import {
  issueRules,
  SETTING_KEYS,
  formatSetting,
  parseSetting,
  parseSettingKey,
  resolveSettings,
  settingSummary,
} from '../../../src/domain/policies/settings.js'
import { tokenOnlyReason } from '../../../src/domain/policies/password-use.js'
import type { SettingKey, Settings } from '../../../src/domain/policies/settings.js'
import { NOON, addAccount, openTemporaryStore } from '../../storage/temporary-store.js'

const DEFAULTS: Settings = {
  enforce_pat_expiration: true,
  max_personal_access_token_lifetime: null,
  require_personal_access_token_expiry: false,
  personal_access_token_prefix: 'ggpat-',
  password_authentication_enabled_for_git: true,
  require_two_factor_authentication: false,
  two_factor_grace_period: 0,
  session_expire_delay: 480,
  disable_personal_access_tokens: false,
  impersonation_enabled: true,
  receive_max_input_size: null,
  allow_unproven_fast_forwards: false,
  push_to_create: true,
  audit_retention: null,
  git_basic_auth_enabled: true,
  git_basic_auth_maxretry: 10,
  git_basic_auth_findtime: 60,
  git_basic_auth_bantime: 3600,
  git_basic_auth_ip_allowlist: ['127.0.0.1', '::1'],
}
const KEYS = Object.keys(DEFAULTS) as SettingKey[]
const FLAGS = KEYS.filter((key) => typeof DEFAULTS[key] === 'boolean')
/** Smallest and greatest of each number, and whether `null` is one of its values. */
const NUMBERS = {
  max_personal_access_token_lifetime: [1, 36_500, true],
  receive_max_input_size: [1, 1_000_000, true],
  audit_retention: [1, 36_500, true],
  two_factor_grace_period: [0, 3_650, false],
  git_basic_auth_maxretry: [1, 10_000, false],
  git_basic_auth_findtime: [1, 86_400, false],
  git_basic_auth_bantime: [1, 604_800, false],
} as const
const numbers = Object.entries(NUMBERS) as [keyof typeof NUMBERS, readonly [number, number, boolean]][]

/** Where a text becomes no value: the error names the setting. */
function refuses(t: Test, key: SettingKey, text: string, message: RegExp): void {
  const expected = { code: 'invalid', message: new RegExp(`^${key}: .*${message.source}`, 'i') }
  t.throws(() => parseSetting(key, text), expected, `${key} ${JSON.stringify(text)}`)
}

t.test('what was never changed has the documented default', async (t) => {
  t.strictSame(resolveSettings(new Map()), DEFAULTS)
  t.strictSame(SETTING_KEYS.toSorted(), KEYS.toSorted())
  for (const key of KEYS) t.ok(settingSummary(key).length > 10, key)
})

t.test('every value survives being written and read', async (t) => {
  for (const key of KEYS) t.strictSame(parseSetting(key, formatSetting(DEFAULTS[key])), DEFAULTS[key], key)
  for (const key of FLAGS)
    for (const value of [true, false]) t.equal(parseSetting(key, formatSetting(value)), value, key)
  for (const [key, [min, max, isNullable]] of numbers) {
    for (const value of [min, max, ...(isNullable ? [null] : [])])
      t.equal(parseSetting(key, formatSetting(value)), value, key)
  }
  for (const prefix of ['', 'glpat-', 'A_z+9/@:.-=', 'p'.repeat(20)])
    t.equal(parseSetting('personal_access_token_prefix', formatSetting(prefix)), prefix)
  for (const list of [[], ['10.0.0.0/8'], ['192.0.2.1', '2001:db8::/32', '::1']])
    t.strictSame(parseSetting('git_basic_auth_ip_allowlist', formatSetting(list)), list)
})

t.test('a flag is true or false, in a few words for both, and nothing else', async (t) => {
  for (const key of FLAGS) {
    for (const word of ['true', 'on', 'yes', '1', 'TRUE', ' On '])
      t.equal(parseSetting(key, word), true, `${key} ${word}`)
    for (const word of ['false', 'off', 'no', '0', 'False']) t.equal(parseSetting(key, word), false, `${key} ${word}`)
    for (const word of ['', '2', '01', 'null', 'tru', 'enabled', 'constructor', '__proto__', 'true false'])
      refuses(t, key, word, /true or false/)
  }
})

t.test('a number is whole and within its range', async (t) => {
  for (const [key, [min, max, isNullable]] of numbers) {
    t.equal(parseSetting(key, ` ${min} `), min)
    for (const text of [
      String(min - 1),
      String(max + 1),
      '-1',
      '1.5',
      '1e3',
      '0x10',
      '1_000',
      '٣',
      'ten',
      '9'.repeat(30),
    ])
      refuses(t, key, text, new RegExp(`from ${min} to ${max}`))
    for (const text of ['null', 'NULL', 'none', '']) {
      if (isNullable) t.equal(parseSetting(key, text), null, `${key} ${text}`)
      else refuses(t, key, text, /whole number/)
    }
  }
})

t.test('a prefix is of GitLab’s letters and 20 of them at most', async (t) => {
  for (const text of [' ', 'a b', 'a\n', 'ä-', 'a,b', 'a"b', '$x', 'a\\b', 'a%20'])
    refuses(t, 'personal_access_token_prefix', text, /can contain only letters of the Base64 alphabet/)
  refuses(t, 'personal_access_token_prefix', 'p'.repeat(21), /maximum is 20 characters/)
})

t.test('an allow-list names the entry that is no address', async (t) => {
  refuses(t, 'git_basic_auth_ip_allowlist', '127.0.0.1, localhost', /"localhost"/)
})

t.test('a name that is no setting is not found', async (t) => {
  for (const key of KEYS) t.equal(parseSettingKey(key), key)
  for (const key of ['', 'nope', 'ENFORCE_PAT_EXPIRATION', 'constructor', '__proto__', 'toString'])
    t.throws(() => parseSettingKey(key), { code: 'not-found', message: /to list settings: gitgate settings list/ }, key)
})

t.test('what is stored counts, a foreign key does not, and a broken value is named', async (t) => {
  const stored = new Map([
    ['push_to_create', 'false'],
    ['max_personal_access_token_lifetime', '30'],
    ['of_a_newer_version', 'x'],
  ])
  const expected = { ...DEFAULTS, push_to_create: false, max_personal_access_token_lifetime: 30 }
  t.strictSame(resolveSettings(stored), expected)
  const broken = new Map([['git_basic_auth_maxretry', 'many']])
  t.throws(() => resolveSettings(broken), { code: 'invalid', message: /^git_basic_auth_maxretry: / })
})

t.test('whatever is set, it is a value of the setting’s kind or a refusal', async () => {
  fc.assert(
    fc.property(fc.constantFrom(...KEYS), fc.string({ unit: 'binary' }), (key, text) => {
      try {
        const value = parseSetting(key, text)
        return value === null || typeof value === 'number' || typeof value === typeof DEFAULTS[key]
      } catch (error) {
        return error instanceof Error && error.message.startsWith(`${key}: `)
      }
    }),
    { numRuns: 1_000 },
  )
})

t.test('the rules for new tokens follow from the settings', async (t) => {
  const free = { prefix: 'ggpat-', latestExpiry: null, expiryRequired: false, disabled: false }
  t.strictSame(issueRules(DEFAULTS, NOON), free)
  const strict: Settings = {
    ...DEFAULTS,
    personal_access_token_prefix: 'acme-',
    max_personal_access_token_lifetime: 30,
    require_personal_access_token_expiry: true,
    disable_personal_access_tokens: true,
  }
  const latestExpiry = new Date('2026-07-15T00:00:00.000Z')
  t.strictSame(issueRules(strict, NOON), { prefix: 'acme-', latestExpiry, expiryRequired: true, disabled: true })
})

t.test('a limit counts in dates: the same all day, and moving at midnight UTC', async (t) => {
  const oneDay = { ...DEFAULTS, max_personal_access_token_lifetime: 1 }
  const latest = (now: string) => issueRules(oneDay, new Date(now)).latestExpiry?.toISOString()
  t.equal(latest('2026-06-15T00:00:00.000Z'), '2026-06-16T00:00:00.000Z')
  t.equal(latest('2026-06-15T23:59:59.999Z'), '2026-06-16T00:00:00.000Z')
  t.equal(latest('2026-06-16T00:00:00.000Z'), '2026-06-17T00:00:00.000Z')
  t.equal(latest('2026-12-31T12:00:00.000Z'), '2027-01-01T00:00:00.000Z')
})

t.test('a password does for Git unless two-factor authentication or the settings say otherwise', async (t) => {
  const plain = await addAccount(openTemporaryStore(t), 'alice')
  const enrolled = { ...plain, twoFactorEnabled: true }
  const required: Settings = { ...DEFAULTS, require_two_factor_authentication: true }
  const off: Settings = { ...DEFAULTS, password_authentication_enabled_for_git: false }
  t.equal(tokenOnlyReason(plain, DEFAULTS, NOON, undefined), undefined)
  t.equal(tokenOnlyReason(enrolled, DEFAULTS, NOON, undefined), 'two-factor-enabled')
  t.equal(tokenOnlyReason(plain, required, NOON, undefined), 'two-factor-required')
  t.equal(tokenOnlyReason(enrolled, required, NOON, undefined), 'two-factor-enabled')
  const inGrace = { ...required, two_factor_grace_period: 7 }
  const [created, after] = [
    plain.createdAt.getTime(),
    (days: number) => new Date(plain.createdAt.getTime() + days * DAY),
  ]
  t.equal(tokenOnlyReason(plain, inGrace, after(6), undefined), undefined)
  t.equal(tokenOnlyReason(plain, inGrace, after(7), undefined), 'two-factor-required')
  t.equal(tokenOnlyReason(plain, inGrace, after(9), new Date(created + 3 * DAY)), undefined)
  t.equal(tokenOnlyReason(plain, inGrace, after(10), new Date(created + 3 * DAY)), 'two-factor-required')
  for (const account of [plain, enrolled]) t.equal(tokenOnlyReason(account, off, NOON, undefined), 'passwords-off')
})
