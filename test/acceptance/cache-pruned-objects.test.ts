// Attack: fetch a secret from the cache that was pushed by mistake and then pruned.
import t from 'tap'
import { cacheResults, cachedWorld } from './cache-world.js'

for (const isPacked of [false, true]) {
  t.test(
    `what nothing refers to is answered until it is pruned from ${isPacked ? 'a pack' : 'its own file'}`,
    async (t) => {
      const { world, push, remote, folder, direct } = await cachedWorld(t)
      if (isPacked) await direct('config', 'receive.unpackLimit', '1')
      await world.git.run(['checkout', '-q', '-b', 'secret'], { cwd: folder })
      const secret = await world.git.commit(folder, 'key.txt', 'SECRET-KEY\n')
      await push('HEAD:refs/heads/secret')
      await direct('update-ref', '-d', 'refs/heads/secret')
      await direct('pack-refs', '--all')
      const fetch = async (name: string) => {
        const copy = await world.git.init(name)
        return await world.git.run(['fetch', '-q', '--depth', '1', remote, secret], { cwd: copy, status: 'any' })
      }
      t.equal((await fetch('first')).status, 0)
      t.equal((await fetch('second')).status, 0)
      t.equal(cacheResults(world).at(-1), 'hit')

      if (isPacked) await direct('-c', 'repack.updateServerInfo=false', 'repack', '-a', '-d', '-q')
      else await direct('prune', '--expire=now')
      const refused = await fetch('third')
      t.not(refused.status, 0)
      t.match(refused.stderr, `not our ref ${secret}`)
    },
  )
}
