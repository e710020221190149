// The clock jumps while clients push and clone: by hours, as after a suspension, and by years, as after a dead battery.
import t from 'tap'
import { cloneComplete } from '../acceptance/cache-world.js'
import { createWorld } from '../acceptance/world.js'

const HOUR_MS = 3_600_000
const JUMPS_MS = [HOUR_MS, -2 * HOUR_MS, 24 * HOUR_MS, -30 * 24 * HOUR_MS, 400 * 24 * HOUR_MS, -400 * 24 * HOUR_MS]

t.test('the clock jumps', { timeout: 120_000 }, async (t) => {
  const world = await createWorld(t)
  await world.seedRepository('alice/app')
  // The lifetime limit doesn't apply to it, so it has no expiry date that a jump could pass.
  await world.set('require_personal_access_token_expiry', 'false')
  const { token, secret } = await world.issue('alice', ['write_repository'], { expiry: 'never' })
  const short = await world.issue('alice', ['read_repository'])
  const remote = world.remote('alice/app', secret.reveal())
  const work = await world.git.clone(remote, 'work')
  for (const [i, jump] of JUMPS_MS.entries()) {
    const oid = await world.git.commit(work, 'file', String(i))
    const push = world.git.run(['push', '-q', 'origin', 'HEAD:main'], { cwd: work })
    const clones = [cloneComplete(world.git, remote, '--bare'), cloneComplete(world.git, remote, '--bare')]
    world.advance(jump)
    await Promise.all([push, ...clones])
    t.match(await world.git.ask(['ls-remote', remote, 'refs/heads/main']), oid, `after a jump of ${jump / HOUR_MS} h`)
    const list = world.git.run(['ls-remote', world.remote('alice/app', short.secret.reveal())], { status: 'any' })
    const isExpired = short.token.expiresAt !== null && short.token.expiresAt <= world.now
    t.equal((await list).status === 0, !isExpired, 'a token with an expiry date follows the clock')
  }
  t.equal(
    (await world.store.tokens.find(token.id))?.revokedAt ?? null,
    null,
    'no jump revokes a token without an expiry date',
  )
  t.equal((await world.store.audit.verify()).flaw, undefined)
})
