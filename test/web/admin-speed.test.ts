// Pages answer in under 50 ms where there are 10,000 tokens, 2,000 accounts and as many rows of the trail as that makes.
import t from 'tap'
import type { HttpAnswer } from '../acceptance/http-client.js'
import { DAY } from '../../src/clock.js'
import { newToken } from '../store/new-token.js'
import { administration } from './administration.js'

const TOKENS = 10_000
const ACCOUNTS = 2_000
const LIMIT = 50

t.test('the administration is fast', async (t) => {
  const { world, root } = await administration(t)
  const stores = world.store
  const owners = [await world.account('alice')]
  for (let number = 1; number < ACCOUNTS; number += 1)
    owners.push(
      await stores.accounts.add(
        { username: `user-${number}`, name: `User ${number}`, email: null, admin: false, passwordHash: null },
        world.now,
      ),
    )
  for (let number = 0; number < TOKENS; number += 1) {
    const expiresAt = number % 3 === 0 ? null : new Date(world.now.getTime() + (1 + (number % 300)) * DAY)
    await stores.tokens.add(newToken(owners[number % owners.length]!.id, { expiresAt, name: `token ${number}` }))
  }
  for (let number = 0; number < 200; number += 1) await world.grant(`user-${number + 1}`, 'read', `team-${number}/**`)
  await root.signIn('root', 'correct horse battery')
  const paths = [
    '/',
    '/-/admin',
    '/-/admin/users?page=20',
    '/-/admin/users?search=user&two_factor=off',
    '/-/admin/users/user-7',
    '/-/admin/users/user-7/impersonation_tokens',
    '/-/admin/credentials',
    '/-/admin/credentials?page=400',
    '/-/admin/credentials?search=99&show=never_expires',
    '/-/admin/credentials?show=unused',
    '/-/admin/grants',
    '/-/admin/explain?user=user-7&repository=team-6/app&ref=main',
    '/-/admin/application_settings',
    '/-/admin/audit_logs',
    '/-/admin/audit_logs?user=user-7',
    '/-/admin/audit_logs?action=token.created&since=24h',
  ]
  const measure = async (what: string, ask: () => Promise<HttpAnswer>) => {
    const times: number[] = []
    // The best of some: what else runs on this machine is not what is measured.
    for (let round = 0; round < 5; round += 1) {
      const begun = performance.now()
      t.equal((await ask()).status, 200, what)
      times.push(performance.now() - begun)
    }
    const best = Math.min(...times)
    t.ok(best < LIMIT, `${what}: ${best.toFixed(1)} ms`)
    t.comment(`${what}: ${best.toFixed(1)} ms`)
  }
  for (const path of paths) await measure(path, () => root.get(path))
  const csrf_token = await root.csrfToken('/')
  const change = { csrf_token, step: 'review', max_personal_access_token_lifetime: '30' }
  await measure('the review of a change', () => root.send('/-/admin/application_settings', change))
})
