// Attack: a server that compresses what it is asked to compress, and a client that waited for its slot. The gate had begun the
// response by then, without the server's Content-Encoding: a push that landed was reported as failed, and a fetch died.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { countingUpstream } from './counting-upstream.js'
import { beginFetch, beginPush, largeCommit, packOf } from './transfers.js'
import { until } from './until.js'
import { createWorld } from './world.js'

const WAITING = /remote: Waiting for a slot/

/** A gate with one slot, before a server that compresses, and a fetch that holds the slot. */
async function busyGate(t: Test) {
  const upstream = await countingUpstream(t)
  const world = await createWorld(t, { gitRuns: '1', cache: 'off' }, upstream.kind)
  const large = await largeCommit(world.git, 'large', 16)
  await upstream.show('alice', large.folder, 'main')
  upstream.behave('gzip where it is accepted')
  await world.grant('alice', 'write', 'team/app')
  const password = await world.token('alice', 'write_repository')
  const place = { url: world.url, path: 'team/app', password }
  return { upstream, world, large, place, remote: world.remote('team/app', password) }
}

t.test('a clone that waited for its slot is whole', async (t) => {
  const { world, large, place, remote } = await busyGate(t)
  const { call } = await beginFetch(place, large.oid)
  const { stderr } = await world.git.run(['clone', '--progress', '--bare', remote, 'copy'], {
    onStderr: (text) => WAITING.test(text) && call.destroy(),
  })
  t.match(stderr, WAITING)
  t.equal(await world.git.ask(['rev-parse', 'main'], { cwd: join(world.git.home, 'copy') }), large.oid)
})

for (const refs of [['main:topic'], ['main:topic', 'main:locked']]) {
  t.test(`what a push did is reported as it was: ${refs.join(' ')}`, async (t) => {
    const { upstream, world, large, place, remote } = await busyGate(t)
    const locked = {
      repositories: 'team/app',
      refs: 'refs/heads/locked',
      push: 'nobody',
      force: 'nobody',
      delete: 'nobody',
    } as const
    await world.store.protections.put(GATE_CONTEXT, locked, world.now)
    // Two pushes of one account at once, of the four that one slot for packs allows.
    const pack = packOf(large).subarray(0, 1_000)
    const busy = [beginPush(place, large.oid, pack), beginPush(place, large.oid, pack)]
    await until(() => upstream.count('push') === busy.length)
    const { status, stderr } = await world.git.run(['push', '--progress', remote, ...refs], {
      cwd: large.folder,
      status: 'any',
      onStderr: (text) => WAITING.test(text) && busy.forEach((call) => call.destroy()),
    })
    t.match(stderr, WAITING)
    t.equal(status, refs.length - 1, stderr)
    t.match(stderr, /\[new branch\] +main -> topic/)
    t.equal(await upstream.git.ask(['--git-dir', join(upstream.folder, 'alice.git'), 'rev-parse', 'topic']), large.oid)
  })
}
