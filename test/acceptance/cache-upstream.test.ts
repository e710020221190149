// The cache before an upstream, which may decide by account, change at any time, and misbehave.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import t from 'tap'
import type { Test } from 'tap'
import type { Flags } from '../../src/config/config.js'
import type { Intervals } from '../../src/core/intervals.js'
import { countingUpstream } from './counting-upstream.js'
import { beginClone, cacheFiles, cacheResults, cloneComplete } from './cache-world.js'
import { beginFetch, largeCommit } from './transfers.js'
import { until, within } from './until.js'
import { createWorld } from './world.js'
import { join } from 'node:path'

/** Alice and Mallory may read a repository, in which the upstream shows Alice one branch more. */
async function before(t: Test, flags: Flags = {}, mebibytes = 3, intervals: Partial<Intervals> = {}) {
  const upstream = await countingUpstream(t)
  const world = await createWorld(t, flags, upstream.kind, { intervals })
  const { folder } = await largeCommit(world.git, 'work', mebibytes)
  await world.git.run(['checkout', '-q', '-b', 'secret'], { cwd: folder })
  const secret = await world.git.commit(folder, 'secret.txt', 'hidden\n')
  await upstream.show('alice', folder, 'main', 'secret')
  for (const user of ['mallory', 'nobody']) await upstream.show(user, folder, 'main')
  for (const subject of ['alice', 'mallory']) await world.grant(subject, 'read', 'team/app')
  const tokens = {
    alice: await world.token('alice', 'read_repository'),
    mallory: await world.token('mallory', 'read_repository'),
  }
  const remote = (user: 'alice' | 'mallory') => world.remote('team/app', tokens[user], user)
  /** Fetches one commit without a ref list before. */
  const fetchOf = async (user: 'alice' | 'mallory', oid: string): Promise<string> => {
    const { answer } = await beginFetch({ url: world.url, path: 'team/app', password: tokens[user] }, oid)
    let said = ''
    for await (const piece of answer) said += (piece as Buffer).toString('latin1')
    return said
  }
  const main = await world.git.ask(['rev-parse', 'main'], { cwd: folder })
  const data = join(world.folder, 'data')
  return { upstream, world, folder, secret, main, tokens, remote, fetchOf, data }
}

t.test('two accounts share nothing', async (t) => {
  const { upstream, world, remote } = await before(t)
  const args = ['--single-branch', '--branch', 'main', '--no-tags', '--bare']
  for (const user of ['alice', 'mallory', 'alice', 'mallory'] as const)
    await cloneComplete(world.git, remote(user), ...args)
  // Git sends no credentials if anonymous users may read.
  await world.grant('@anonymous', 'read', 'team/app')
  for (let time = 0; time < 2; time += 1) await cloneComplete(world.git, world.remote('team/app'), ...args)
  for (const user of ['alice', 'mallory', 'nobody']) t.equal(upstream.count('pack', user), 1, user)
})

t.test('if the upstream responds the same to everybody, accounts share packs, but never ref lists', async (t) => {
  const { upstream, world, remote } = await before(t, { upstreamSameForAll: 'on' })
  const args = ['--single-branch', '--branch', 'main', '--no-tags', '--bare']
  for (let time = 1; time <= 2; time += 1) {
    for (const user of ['alice', 'mallory'] as const) await cloneComplete(world.git, remote(user), ...args)
    await world.grant('@anonymous', 'read', 'team/app')
    await cloneComplete(world.git, world.remote('team/app'), ...args)
    await world.store.grants.remove(GATE_CONTEXT, '@anonymous', 'team/app')
    t.equal(upstream.count('pack'), 1)
    for (const user of ['alice', 'mallory', 'nobody']) {
      t.equal(upstream.count('advertisement', user), time, user)
      t.equal(upstream.count('refs', user), time, user)
    }
  }
})

for (const sameForAll of ['off', 'on']) {
  t.test(
    `the cache serves nobody what the upstream hasn't shown to them: upstream_same_for_all ${sameForAll}`,
    async (t) => {
      const { upstream, secret, main, fetchOf, remote, world } = await before(t, { upstreamSameForAll: sameForAll })
      const list = async (user: 'alice' | 'mallory') => await world.git.ask(['ls-remote', remote(user)])
      await list('alice')
      t.match(await fetchOf('alice', secret), /PACK/)
      t.match(await fetchOf('alice', secret), /PACK/)
      t.equal(cacheResults(world).at(-1), 'hit')
      await list('mallory')
      t.notMatch(await fetchOf('mallory', secret), /PACK/)
      t.equal(upstream.count('pack', 'mallory'), 1, 'the upstream itself has refused it')
      t.match(await fetchOf('mallory', main), /PACK/)
    },
  )
}

t.test('a pack comes from the cache if the upstream has just shown what is wanted', async (t) => {
  const { world, main, fetchOf, remote, tokens } = await before(t)
  t.match(await fetchOf('alice', main), /PACK/)
  t.equal(cacheResults(world).at(-1), 'bypass', 'it has shown nothing yet')
  await world.git.run(['ls-remote', remote('alice')])
  for (const result of ['miss', 'hit']) {
    t.match(await fetchOf('alice', main), /PACK/)
    t.equal(cacheResults(world).at(-1), result)
  }
  const advertised = await world.http('/team/app.git/info/refs?service=git-upload-pack', {
    ...{ user: 'alice', password: tokens.alice, headers: { 'Git-Protocol': 'version=2' } },
  })
  t.match(advertised.body, /version 2/)
  t.match(await fetchOf('alice', main), /PACK/)
  t.equal(cacheResults(world).at(-1), 'hit', 'an advertisement of version 2 lists no refs, and replaces no list')
})

t.test('what an upstream showed too long ago no longer counts', async (t) => {
  const shownRefsMs = 100
  const { upstream, world, main, fetchOf, remote } = await before(t, {}, 3, { shownRefsMs })
  await world.git.run(['ls-remote', remote('alice')])
  await until(async () => {
    t.match(await fetchOf('alice', main), /PACK/)
    return cacheResults(world).at(-1) === 'bypass'
  })
  const packs = upstream.count('pack')
  t.match(await fetchOf('alice', main), /PACK/)
  t.equal(upstream.count('pack'), packs + 1)
})

t.test('overlapping clones of one account share a pack', async (t) => {
  const { upstream, world, remote } = await before(t)
  await Promise.all(
    Array.from({ length: 8 }, async () => await cloneComplete(world.git, remote('alice'), '-q', '--bare')),
  )
  t.equal(upstream.count('pack'), 1)
})

for (const version of ['0', '2']) {
  t.test(
    `requests for a ref list that come while one is produced share the next one: version ${version}`,
    async (t) => {
      const { upstream, world, folder, remote } = await before(t)
      const list = async (user: 'alice' | 'mallory' = 'alice') =>
        await world.git.ask(['-c', `protocol.version=${version}`, 'ls-remote', remote(user), 'main'])
      const what = version === '0' ? 'advertisement' : 'refs'
      const { made, release } = upstream.hold(what)
      const first = list()
      await made
      await world.git.run(['checkout', '-q', 'main'], { cwd: folder })
      const moved = await world.git.commit(folder, 'later.txt', 'later\n')
      await world.git.run(['push', '-q', join(upstream.folder, 'alice.git'), 'main'], { cwd: folder })
      const others = [list(), list(), list()]
      t.notMatch(await list('mallory'), moved, 'another account has its own list, and waits for nobody')
      release()
      t.notMatch(await first, moved)
      for (const other of await Promise.all(others)) t.match(other, moved)
      t.ok(upstream.count(what, 'alice') < 4, 'fewer than there were clients')
    },
  )
}

t.test('the cache follows tags that move at the upstream', async (t) => {
  const { upstream, world, folder, remote } = await before(t)
  const tagged = async (words: string) => {
    await world.git.run(['tag', '-f', '-a', '-m', words, 'v1', 'main'], { cwd: folder })
    await world.git.run(['push', '-q', '-f', join(upstream.folder, 'alice.git'), 'v1'], { cwd: folder })
    for (let time = 0; time < 2; time += 1) {
      const copy = await cloneComplete(world.git, remote('alice'), '--bare')
      t.match(await world.git.ask(['cat-file', 'tag', 'v1'], { cwd: copy }), words)
      // It has include-tag: tags are sent with the objects they point at.
      const fetched = await world.git.init(`fetched-${words}-${time}`)
      await world.git.run(['fetch', '-q', remote('alice'), 'main:got'], { cwd: fetched })
      await world.git.run(['fsck', '--full', '--strict'], { cwd: fetched })
    }
  }
  await tagged('first')
  await tagged('second')
})

t.test('the responses of an upstream that compresses everything are passed on unchanged', async (t) => {
  const { upstream, world, remote, data } = await before(t)
  upstream.behave('gzip')
  for (const version of ['0', '2'])
    for (let time = 0; time < 2; time += 1)
      await cloneComplete(world.git, remote('alice'), '--bare', '-c', `protocol.version=${version}`)
  t.strictSame(cacheFiles(data), [])
  upstream.behave('well')
  await cloneComplete(world.git, remote('alice'), '--bare')
})

for (const behaviour of ['dies', 'stops'] as const) {
  t.test(
    `if the upstream ${behaviour} half-way, all clones fail, nothing is cached, and the next one succeeds`,
    async (t) => {
      const { upstream, world, remote, data } = await before(t)
      upstream.behave(behaviour)
      const clones = Array.from({ length: 3 }, () => beginClone(world.git, remote('alice')))
      for (const clone of clones) t.not(await clone.ended, 0)
      t.ok(await within(1_000, () => cacheFiles(data).length === 0))
      upstream.behave('well')
      t.equal(await beginClone(world.git, remote('alice')).ended, 0)
      upstream.behave(behaviour)
      t.equal(await beginClone(world.git, remote('alice')).ended, 0, 'the cached response is complete')
    },
  )
}

t.test('if the upstream lost the repository or fails, the next request sees it', async (t) => {
  const { upstream, world, remote } = await before(t)
  await cloneComplete(world.git, remote('alice'), '--bare')
  for (const status of [404, 500] as const) {
    upstream.behave(status)
    t.not(await beginClone(world.git, remote('alice')).ended, 0, String(status))
    upstream.behave('well')
    await cloneComplete(world.git, remote('alice'), '--bare')
  }
  t.equal(upstream.count('pack'), 1)
})
