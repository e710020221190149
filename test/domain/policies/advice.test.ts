import t from 'tap'
import { DAY } from '../../../src/core/clock.js'
import type { Observed } from '../../../src/domain/policies/advice.js'
import { adviceOn, describeAdvice } from '../../../src/domain/policies/advice.js'
import type { PersonalAccessToken } from '../../../src/domain/tokens/token.js'
import { newToken } from '../../storage/new-token.js'
import { NOON } from '../../storage/temporary-store.js'

const ago = (days: number): Date => new Date(NOON.getTime() - days * DAY)
const token = (given: Partial<PersonalAccessToken>): PersonalAccessToken => ({
  ...newToken(1, { createdAt: ago(200), expiresAt: new Date(NOON.getTime() + DAY), scopes: ['write_repository'] }),
  id: 1,
  revokedAt: null,
  lastUsedAt: null,
  lastUsedIps: [],
  issuedBy: null,
  ...given,
})
const seen = (given: Partial<Observed>): Observed => ({
  accessible: { read: 40, write: 40 },
  used: { read: 0, written: 0 },
  knownSince: ago(1_000),
  ...given,
})
const words = (given: Partial<PersonalAccessToken>, observed: Partial<Observed>): string[] =>
  adviceOn(token(given), seen(observed), NOON).map(describeAdvice)

t.test('advice is about what a token may and does not do', async (t) => {
  t.strictSame(words({}, {}), ['unused for 90 days; revoke it if nobody needs it'])
  t.match(words({ expiresAt: null }, {}), [/^never expires/, /^unused for 90 days/])
  t.strictSame(words({}, { used: { read: 2, written: 1 } }), [
    'can write 40 repositories, but used 2 in 90 days; limit the next token with --repo',
  ])
  t.match(words({}, { used: { read: 2, written: 0 } }), [/^can write 40/, /^can push, but didn't in 90 days/])
  t.match(words({ scopes: ['read_repository'] }, { used: { read: 2, written: 0 } }), [
    /^can read 40 repositories, but used 2/,
  ])
  t.strictSame(words({}, { used: { read: 1, written: 1 }, accessible: { read: 1, write: 1 } }), [])
  t.strictSame(
    words({}, { used: { read: 1, written: 1 }, accessible: undefined }),
    [],
    'what is not known is no reason',
  )
})

t.test('what is young, over, or not on record gets no advice for it', async (t) => {
  t.strictSame(words({ createdAt: ago(0.5) }, {}), [])
  t.match(words({ createdAt: ago(3) }, {}), [/^unused for 3 days/])
  t.match(words({}, { knownSince: ago(12) }), [/^unused for 12 days/])
  t.strictSame(words({ revokedAt: ago(1), expiresAt: null }, {}), [])
  t.strictSame(words({ expiresAt: ago(1) }, {}), [])
  t.strictSame(
    words({ lastUsedAt: ago(2) }, { used: { read: 0, written: 0 }, accessible: undefined, knownSince: ago(10) }),
    ["can push, but didn't in 10 days; the scope read_repository would be enough"],
  )
})
