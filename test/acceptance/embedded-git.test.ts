import { spawnSync } from 'node:child_process'
import t from 'tap'
import { clients } from './conformance/clients.js'
import { fetching } from './conformance/fetching.js'
import { pushing } from './conformance/pushing.js'
import { createWorld } from './world.js'

t.test('the embedded server', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'admin', 'team/**')
  await t.test('fetching', (t) => fetching(t, world))
  await t.test('pushing', (t) => pushing(t, world))
  await t.test('clients', (t) => clients(t, world))

  await t.test(
    'a repository that another user owns',
    { skip: process.getuid?.() === 0 ? false : 'needs root' },
    async (t) => {
      const folder = await world.seedRepository('team/foreign')
      spawnSync('chown', ['-R', '12345:12345', folder])
      const secret = await world.token('alice', 'write_repository')
      const clone = await world.git.clone(world.remote('team/foreign', secret), 'foreign')
      await world.git.commit(clone, 'a.txt', 'a\n')
      await world.git.run(['push'], { cwd: clone })
      t.match(
        await world.git.ask(['ls-remote', world.remote('team/foreign', secret)]),
        await world.git.ask(['rev-parse', 'HEAD'], { cwd: clone }),
      )
    },
  )
})
