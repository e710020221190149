// Responses from the cache: as fresh and complete as Git's own, and only for those who may read.
import { GATE_CONTEXT } from '../../src/domain/audit/event.js'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import type { BackendKind } from '../backends/backend.js'
import { cacheFolders, cacheResults } from './cache-world.js'
import { requireProgram } from './programs.js'
import { createWorld } from './world.js'

async function populate(t: Test, kind: BackendKind) {
  const world = await createWorld(t, {}, kind)
  await world.grant('alice', 'write', 'team/**')
  const disk = await world.seedRepository('team/app')
  const secret = await world.token('alice', 'write_repository')
  const remote = world.remote('team/app', secret)
  const folder = await world.git.clone(remote, 'work')
  const commit = async (name: string): Promise<string> => {
    const id = await world.git.commit(folder, name, `${name}\n`)
    await world.git.run(['push', '-q', 'origin', 'HEAD:main'], { cwd: folder })
    return id
  }
  let clones = 0
  const clone = async (...args: string[]): Promise<string> => {
    const copy = await world.git.clone(remote, `clone-${(clones += 1)}`, ...args)
    await world.git.run(['fsck', '--full', '--strict'], { cwd: copy })
    return copy
  }
  const head = (copy: string) => world.git.ask(['rev-parse', 'HEAD'], { cwd: copy })
  return { world, disk, remote, folder, commit, clone, head }
}

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(120_000)

    await t.test('a clone comes from the cache, and the next one sees a push', async (t) => {
      const { world, clone, commit, head } = await populate(t, kind)
      const first = await clone()
      const second = await clone()
      t.equal(await head(second), await head(first))
      t.equal(cacheResults(world).at(-1), 'hit')
      const id = await commit('next.txt')
      t.equal(await head(await clone()), id)
      t.not(cacheResults(world).at(-1), 'hit')
      t.equal(await head(await clone()), id)
      t.equal(cacheResults(world).at(-1), 'hit')
    })

    await t.test('clones of every kind are complete, cold and warm, and differ as they should', async (t) => {
      const { commit, clone, world } = await populate(t, kind)
      for (let number = 1; number <= 3; number += 1) await commit(`file-${number}.txt`)
      const kinds = [
        [],
        ['--bare'],
        ['--mirror'],
        ['--depth', '1'],
        ['--depth', '2'],
        ['--filter=blob:none', '--no-checkout'],
        ['--filter=tree:0', '--no-checkout'],
        ['--single-branch'],
        ['-c', 'protocol.version=0'],
        ['-c', 'protocol.version=1'],
      ]
      for (const args of kinds) {
        const counts = []
        for (let times = 0; times < 2; times += 1) {
          const copy = await clone(...args)
          counts.push(await world.git.ask(['rev-list', '--count', 'HEAD'], { cwd: copy }))
        }
        t.strictSame(counts[0], counts[1], args.join(' '))
        t.equal(counts[0], args[0] === '--depth' ? args[1] : '4', args.join(' '))
      }
    })

    await t.test('many simultaneous clones share one run of Git', async (t) => {
      const { world, clone } = await populate(t, kind)
      await world.store.settings.list()
      const before = cacheResults(world).length
      // In version 0 each RPC is for a pack. In version 2 ref lists are RPCs, too.
      await Promise.all(Array.from({ length: 8 }, () => clone('--bare', '-c', 'protocol.version=0')))
      const results = cacheResults(world).slice(before)
      t.equal(results.length, 8)
      t.notOk(results.includes('bypass'), results.join(' '))
      t.ok(results.filter((result) => result === 'miss').length <= (kind === embedded ? 2 : 1), results.join(' '))
    })

    await t.test('nobody gets anything from the cache that they may not read', async (t) => {
      const { world, clone } = await populate(t, kind)
      await clone()
      const mallory = await world.token('mallory', 'read_repository')
      const refused = await world.git.run(['ls-remote', world.remote('team/app', mallory)], { status: 'any' })
      t.not(refused.status, 0)
      await world.grant('mallory', 'read', 'team/app')
      await world.git.run(['ls-remote', world.remote('team/app', mallory)])
      await world.store.grants.remove(GATE_CONTEXT, 'mallory', 'team/app')
      t.not((await world.git.run(['ls-remote', world.remote('team/app', mallory)], { status: 'any' })).status, 0)
    })

    await t.test('the next request sees what was changed behind the gate', async (t) => {
      const { world, disk, clone, head } = await populate(t, kind)
      await clone()
      const direct = (...args: string[]) => world.git.ask(['-c', 'safe.directory=*', '--git-dir', disk, ...args])
      const old = await direct('rev-parse', 'main')
      const tree = await direct('rev-parse', 'main^{tree}')
      const id = await direct('commit-tree', tree, '-p', old, '-m', 'behind')
      await direct('update-ref', 'refs/heads/main', id)
      world.adopt(disk)
      t.equal(await head(await clone()), id)
      await direct('update-ref', 'refs/heads/main', old)
      world.adopt(disk)
      t.equal(await head(await clone()), old, 'also when it is put back')
    })
  })
}

t.test(
  'the folder of the cache is empty at the start, holds files while it runs, and is gone at the end',
  async (t) => {
    const world = await createWorld(t)
    t.equal(cacheFolders(join(world.folder, 'data')).length, 1)
  },
)
