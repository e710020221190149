// Attack: a token, or the cookie of a session, used from more addresses in turn than are kept, so that each request is a write.
// 2,000 requests cost 730 ms.
import t from 'tap'
import { MINUTE } from '../../src/core/clock.js'
import type { Session } from '../../src/domain/accounts/session.js'
import { isSeenAnew } from '../../src/domain/accounts/session.js'
import { LastUse } from '../../src/domain/tokens/last-use.js'
import type { PersonalAccessToken } from '../../src/domain/tokens/token.js'
import type { TokenUse } from '../../src/domain/tokens/store.js'
import { NOON } from '../storage/temporary-store.js'

const REQUESTS = 2_000
const after = (milliseconds: number) => new Date(NOON.getTime() + milliseconds)

for (const addresses of [6, REQUESTS]) {
  t.test(`a token that is used from ${addresses} addresses is written ten times a minute`, async (t) => {
    const written: TokenUse[] = []
    const store = { recordUses: (uses: readonly TokenUse[]) => Promise.resolve(void written.push(...uses)) }
    const lastUse = new LastUse(store, (error) => t.fail(String(error)), MINUTE)
    const token = { id: 1, lastUsedAt: NOON, lastUsedIps: ['192.0.2.1'] } as unknown as PersonalAccessToken
    for (let index = 0; index < REQUESTS; index += 1)
      lastUse.record(token, `2001:db8::${index % addresses}`, after(index))
    await lastUse.flush()
    t.equal(written.length, 10)
    // In the next minute an address that was left out is written, if it is used again.
    lastUse.record(token, '2001:db8::ffff', after(MINUTE))
    await lastUse.flush()
    t.equal(written.at(-1)?.ip, '2001:db8::ffff')
  })
}

t.test('a session that two addresses use in turn is written a dozen times a minute', async (t) => {
  let session = { ip: '192.0.2.1', lastSeenAt: NOON } as Session
  let writes = 0
  for (let index = 0; index < REQUESTS; index += 1) {
    const now = after((index * MINUTE) / REQUESTS)
    const ip = `192.0.2.${index % 2}`
    if (!isSeenAnew(session, ip, now)) continue
    session = { ...session, ip, lastSeenAt: now }
    writes += 1
  }
  t.ok(writes > 0 && writes <= 12, `${writes} writes`)
})
