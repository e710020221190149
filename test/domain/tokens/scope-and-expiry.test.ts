import fc from 'fast-check'
import t from 'tap'
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/core/clock.js'
import { parseExpiryDate, parseExpirySpan } from '../../../src/domain/tokens/expiry.js'
import type { Scope } from '../../../src/domain/tokens/scope.js'
import { ALL_SCOPES, parseScopes, scopesAllow } from '../../../src/domain/tokens/scope.js'
import { tokenState } from '../../../src/domain/tokens/token.js'
import { NOON } from '../../storage/temporary-store.js'

/** GitLab's abilities: what each scope lets through on Git. */
const ABILITIES: Readonly<Record<Scope, { readonly read: boolean; readonly write: boolean }>> = {
  api: { read: true, write: true },
  read_api: { read: true, write: false },
  read_user: { read: false, write: false },
  read_repository: { read: true, write: false },
  write_repository: { read: true, write: true },
  read_registry: { read: false, write: false },
  write_registry: { read: false, write: false },
  sudo: { read: false, write: false },
}

t.test('each scope lets through on Git what GitLab lets through', async (t) => {
  t.strictSame(ALL_SCOPES.toSorted(), Object.keys(ABILITIES).toSorted(), 'the scopes are GitLab’s eight')
  for (const [scope, abilities] of Object.entries(ABILITIES) as [Scope, (typeof ABILITIES)[Scope]][]) {
    t.equal(scopesAllow([scope], 'read'), abilities.read, `${scope}: read`)
    t.equal(scopesAllow([scope], 'write'), abilities.write, `${scope}: write`)
  }
})

t.test('several scopes let through what any of them does; none lets nothing through', async (t) => {
  fc.assert(
    fc.property(fc.subarray([...ALL_SCOPES]), fc.constantFrom('read' as const, 'write' as const), (scopes, ability) => {
      return scopesAllow(scopes, ability) === scopes.some((scope) => ABILITIES[scope][ability])
    }),
  )
  t.notOk(scopesAllow([], 'read'))
})

t.test('scopes are listed with commas or blanks, in any order, and count once', async (t) => {
  t.strictSame(parseScopes('read_repository'), ['read_repository'])
  t.strictSame(parseScopes('write_repository,read_repository'), ['read_repository', 'write_repository'])
  t.strictSame(parseScopes(' api , api  sudo,'), ['api', 'sudo'])
})

t.test('an unknown scope is refused with the valid ones', async (t) => {
  for (const list of [
    'read_repo',
    'API',
    'read_repository;api',
    'api,nope',
    '*',
    'constructor',
    '__proto__',
    'toString',
  ]) {
    t.throws(() => parseScopes(list), { code: 'invalid', message: /is not a scope/ }, list)
    for (const scope of ALL_SCOPES) t.throws(() => parseScopes(list), { message: new RegExp(`\\b${scope}\\b`) })
  }
  for (const list of ['', ' ', ',,'])
    t.throws(() => parseScopes(list), { code: 'invalid', message: /at least one scope; the scopes are api, / })
})

t.test('a date is the midnight in UTC at which it begins', async (t) => {
  t.strictSame(parseExpiryDate('2027-01-31'), new Date('2027-01-31T00:00:00.000Z'))
  t.strictSame(parseExpiryDate('2028-02-29'), new Date('2028-02-29T00:00:00.000Z'))
  t.strictSame(parseExpiryDate('9999-12-31'), new Date('9999-12-31T00:00:00.000Z'))
})

t.test('what is not in the calendar is no date', async (t) => {
  const wrong = ['', '2026-02-30', '2027-02-29', '2026-13-01', '2026-00-10', '2026-01-00', '2026-1-1', '26-01-01']
  const others = ['2026-01-01T00:00:00Z', '2026/01/01', '01-01-2026', '+2026-01-01', '-2026-01-01', '12026-01-01']
  for (const text of [...wrong, ...others, ' 2026-01-01', '2026-01-01\n', 'tomorrow', 'never', '٢٠٢٦-٠١-٠١', '1e9d'])
    t.throws(() => parseExpiryDate(text), { code: 'invalid', message: /YYYY-MM-DD/ }, JSON.stringify(text))
})

t.test('a span counts from now in seconds, minutes, hours or days', async (t) => {
  const spans = { '90s': 90 * SECOND, '15m': 15 * MINUTE, '12h': 12 * HOUR, '30d': 30 * DAY, '1s': SECOND }
  for (const [text, length] of Object.entries(spans))
    t.strictSame(parseExpirySpan(text, NOON), new Date(NOON.getTime() + length), text)
  t.equal(parseExpirySpan('never', NOON), 'never')
})

t.test('what is not a span of time ahead is refused', async (t) => {
  const wrong = [
    '',
    '0d',
    '0s',
    '00d',
    '-1d',
    '+1d',
    '1',
    'd',
    '1.5d',
    '1e9d',
    '9999999999d',
    '99999999999s',
    '1w',
    '1y',
  ]
  for (const text of [
    ...wrong,
    '1D',
    ' 1d',
    '1d ',
    '1d\n',
    '1d1h',
    'Never',
    'NEVER',
    '٣d',
    'Infinityd',
    'NaNd',
    '0x1d',
  ])
    t.throws(() => parseExpirySpan(text, NOON), { code: 'invalid', message: /30d or never/ }, JSON.stringify(text))
})

t.test('a span ends in a year of four digits, since a date can’t name a later one', async (t) => {
  const days = Math.floor((Date.UTC(9999, 11, 31, 12) - NOON.getTime()) / DAY)
  t.strictSame(parseExpirySpan(`${days}d`, NOON), new Date('9999-12-31T12:00:00.000Z'))
  t.throws(() => parseExpirySpan(`${days + 1}d`, NOON), { code: 'invalid' })
})

t.test('whatever is typed as an expiry, it is one or a refusal', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[-+]?\d{1,12}([smhdwe-]|\d{2}-\d{2})$/))
  const parse = fc.constantFrom(parseExpiryDate, (text: string) => parseExpirySpan(text, NOON))
  fc.assert(
    fc.property(text, parse, (text, parse) => {
      try {
        const expiry = parse(text)
        return expiry === 'never' || !Number.isNaN(expiry.getTime())
      } catch (error) {
        return error instanceof Error && error.name === 'GitgateError'
      }
    }),
    { numRuns: 1_000 },
  )
})

t.test('a token is over from the instant of its expiry on', async (t) => {
  const expiring = { expiresAt: NOON, revokedAt: null }
  t.equal(tokenState(expiring, new Date(NOON.getTime() - 1), true), 'active')
  t.equal(tokenState(expiring, NOON, true), 'expired')
  t.equal(tokenState(expiring, new Date(NOON.getTime() + 365 * DAY), true), 'expired')
  t.equal(tokenState({ expiresAt: null, revokedAt: null }, new Date('9999-01-01'), true), 'active')
})

t.test('a token of today’s date is over all day', async (t) => {
  const expiring = { expiresAt: parseExpiryDate('2026-06-15'), revokedAt: null }
  t.equal(tokenState(expiring, new Date('2026-06-14T23:59:59.999Z'), true), 'active')
  t.equal(tokenState(expiring, new Date('2026-06-15T00:00:00.000Z'), true), 'expired')
})

t.test('a revoked token stays revoked, whatever its expiry', async (t) => {
  t.equal(tokenState({ expiresAt: null, revokedAt: NOON }, NOON, true), 'revoked')
  t.equal(tokenState({ expiresAt: NOON, revokedAt: NOON }, NOON, false), 'revoked')
  t.not(tokenState({ expiresAt: NOON, revokedAt: NOON }, NOON, true), 'active')
})

t.test('where expiry is not enforced, a token works until it is revoked', async (t) => {
  t.equal(tokenState({ expiresAt: NOON, revokedAt: null }, NOON, false), 'active')
  t.equal(tokenState({ expiresAt: NOON, revokedAt: null }, new Date('9999-01-01'), false), 'active')
})
