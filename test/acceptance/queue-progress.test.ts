// git shows that a request waits for a slot, where the start of the response is known in advance.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import type { BackendKind } from '../backends/backend.js'
import type { Flags } from '../../src/config/config.js'
import type { GitResult } from './git-client.js'
import { requireProgram } from './programs.js'
import { beginFetch, beginPush, commandOf, largeCommit, packOf, processesIn } from './transfers.js'
import { until } from './until.js'
import type { World } from './world.js'
import { createWorld } from './world.js'

const WAITING = /^remote: Waiting for a slot: 1 request running, \d waiting\.\s*$/m

/** A gate with one run of git at a time, and a repository whose pack no socket holds. */
async function narrowWorld(t: Test, kind?: BackendKind, flags: Flags = {}) {
  const world = await createWorld(t, { gitRuns: '1', ...flags }, kind)
  await world.grant('alice', 'write', 'team/**')
  await world.createRepository('team/app')
  const secret = await world.token('alice', 'write_repository')
  const large = await largeCommit(world.git, 'large', 12)
  await world.git.run(['push', '-q', world.remote('team/app', secret), 'main'], { cwd: large.folder })
  const place = { url: world.url, path: 'team/app', password: secret }
  return { world, secret, large, place }
}

/** Runs git, and lets it go on once it has said something. */
async function whenSaid(
  world: World,
  what: RegExp,
  then: () => unknown,
  args: readonly string[],
  cwd?: string,
): Promise<GitResult & { readonly hasSaid: boolean }> {
  let hasSaid = false
  const onStderr = (text: string): void => {
    if (hasSaid || !what.test(text)) return
    hasSaid = true
    then()
  }
  const result = await world.git.run(args, { status: 'any', onStderr, ...(cwd === undefined ? {} : { cwd }) })
  return { ...result, hasSaid }
}

for (const [name, kind, flags] of [
  ['embedded', undefined, {}],
  ['embedded, without a cache', undefined, { cache: 'off' }],
  ['before nginx', nginx, { cache: 'off' }],
] as const) {
  t.test(`clones: ${name}`, { skip: requireProgram(...(kind ?? embedded).programs) }, async (t) => {
    t.setTimeout(240_000)
    const { world, secret, large, place } = await narrowWorld(t, kind, flags)
    for (const version of ['2', '1', '0']) {
      const { call } = await beginFetch(place, large.oid, ['unknown-to-all'])
      const copy = `copy-${version}`
      const args = ['-c', `protocol.version=${version}`, 'clone', '--progress', world.remote('team/app', secret), copy]
      const clone = await whenSaid(world, WAITING, () => call.destroy(), args)
      t.ok(clone.hasSaid, `${version}: ${clone.stderr.slice(0, 300)}`)
      t.equal(clone.status, 0, clone.stderr)
      await world.git.run(['fsck', '--full', '--strict'], { cwd: join(world.git.home, copy) })
    }
  })
}

t.test('of two that wait for one run, both are told, and get the same', async (t) => {
  const { world, secret, large, place } = await narrowWorld(t)
  const { call } = await beginFetch(place, large.oid, ['unknown-to-all'])
  const other = await world.token('alice', 'read_repository')
  let reported = 0
  const free = (): void => {
    if (++reported === 2) call.destroy()
  }
  const clone = (name: string, token: string) =>
    whenSaid(world, WAITING, free, ['clone', '--progress', '--bare', world.remote('team/app', token), name])
  for (const { status, stderr } of await Promise.all([clone('one', secret), clone('two', other)]))
    t.equal(status, 0, stderr)
  for (const name of ['one', 'two'])
    await world.git.run(['fsck', '--full', '--strict'], { cwd: join(world.git.home, name) })
})

t.test(
  'who wants silence waits in silence, for longer than a client may be silent, and gets a whole clone',
  async (t) => {
    const { world, secret, large, place } = await narrowWorld(t, undefined, { idleTimeout: '2' })
    const { call, answer } = await beginFetch(place, large.oid, ['unknown-to-all'])
    // So that it is never silent itself.
    const reading = setInterval(() => void answer.read(65_536), 250)
    const timer = setTimeout(() => call.destroy(), 5_000)
    t.teardown(() => {
      clearTimeout(timer)
      clearInterval(reading)
    })
    const { stderr } = await world.git.run(['clone', '-q', world.remote('team/app', secret), 'quiet'])
    t.equal(stderr, '')
    await world.git.run(['fsck', '--full', '--strict'], { cwd: join(world.git.home, 'quiet') })
  },
)

t.test('a token that is revoked while it waits is told so', async (t) => {
  const { world, large, place } = await narrowWorld(t)
  const { call } = await beginFetch(place, large.oid, ['unknown-to-all'])
  const { token, secret } = await world.issue('alice', ['read_repository'], { name: 'short-lived' })
  const revoke = () => world.store.tokens.revoke(GATE_CONTEXT, token.id, world.now)
  const args = ['clone', '--progress', world.remote('team/app', secret.reveal()), 'revoked']
  const clone = await whenSaid(world, WAITING, revoke, args)
  t.match(clone.stderr, /remote: token "short-lived" was revoked|fatal: remote error: token "short-lived" was revoked/)
  t.not(clone.status, 0)
  call.destroy()
})

t.test('what the server refuses after the wait is told, and nothing is cloned', async (t) => {
  const { world, secret, large, place } = await narrowWorld(t)
  const { call } = await beginFetch(place, large.oid, ['unknown-to-all'])
  const disk = world.onDisk('team/app')
  const args = ['clone', '--progress', world.remote('team/app', secret), 'gone']
  const remove = (): void => {
    renameSync(disk, `${disk}.away`)
    call.destroy()
  }
  const clone = await whenSaid(world, WAITING, remove, args)
  t.ok(clone.hasSaid)
  t.not(clone.status, 0)
  t.match(clone.stderr, /remote: The Git server did not answer this request\. The gate.s log has the reason/)
})

t.test('a push is told, and done when it gets a slot', async (t) => {
  t.setTimeout(120_000)
  const { world, secret, large, place } = await narrowWorld(t)
  // Two at once of an account, of the four that one run for packs allows.
  const pack = packOf(large).subarray(0, 1_000)
  const busy = [beginPush(place, large.oid, pack), beginPush(place, large.oid, pack)]
  await until(
    () =>
      processesIn(world.onDisk('team/app')).filter((pid) => / receive-pack --stateless-rpc/.test(commandOf(pid)))
        .length === 2,
  )
  await world.git.commit(large.folder, 'more.txt', 'more')
  const end = (): void => busy.forEach((call) => call.destroy())
  const said = /^remote: Waiting for a slot: 2 requests running, 1 waiting\.\s*$/m
  const args = ['push', '--progress', world.remote('team/app', secret), 'main', 'main:refs/heads/topic']
  const push = await whenSaid(world, said, end, args, large.folder)
  t.ok(push.hasSaid, push.stderr)
  t.equal(push.status, 0, push.stderr)
  t.match(push.stderr, /\[new branch\] +main -> topic/)
})
