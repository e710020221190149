import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { conformance } from './conformance/conformance.js'
import { createWorld } from './world.js'

await conformance(t, embedded)

t.test('what only the embedded server decides', async (t) => {
  const world = await createWorld(t)
  await world.grant('alice', 'admin', 'team/**')
  const secret = await world.token('alice', 'write_repository')

  await t.test(
    'it serves a repository that another user owns',
    { skip: process.getuid?.() === 0 ? false : 'needs root' },
    async (t) => {
      const folder = await world.seedRepository('team/foreign')
      spawnSync('chown', ['-R', '12345:12345', folder])
      const clone = await world.git.clone(world.remote('team/foreign', secret), 'foreign')
      const commit = await world.git.commit(clone, 'a.txt', 'a\n')
      await world.git.run(['push'], { cwd: clone })
      t.match(await world.git.ask(['ls-remote', world.remote('team/foreign', secret)]), commit)
    },
  )

  await t.test('receive_max_input_size bounds a push', async (t) => {
    await world.set('receive_max_input_size', '1')
    const folder = await world.git.init('big')
    writeFileSync(join(folder, 'noise'), randomBytes(2_000_000))
    await world.git.run(['add', '.'], { cwd: folder })
    await world.git.run(['commit', '-q', '-m', 'Noise'], { cwd: folder })
    const { stderr } = await world.git.run(['push', world.remote('alice/big', secret), 'main'], {
      cwd: folder,
      status: 1,
    })
    t.match(stderr, /exceeds maximum allowed size/)
    await world.set('receive_max_input_size', 'null')
    await world.git.run(['push', world.remote('alice/big', secret), 'main'], { cwd: folder })
  })

  await t.test('two first pushes at once make one repository', async (t) => {
    const [one, two] = [await world.git.init('one'), await world.git.init('two')]
    const remote = world.remote('alice/raced', secret)
    await Promise.all([
      world.git.run(['push', remote, 'main:one'], { cwd: one }),
      world.git.run(['push', remote, 'main:two'], { cwd: two }),
    ])
    t.match(await world.git.ask(['ls-remote', remote]), /refs\/heads\/one\n.*refs\/heads\/two/s)
  })

  await t.test('a push of 1,000 refs', async (t) => {
    const folder = await world.git.init('many')
    const head = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
    const packed = Array.from({ length: 1_000 }, (_, i) => `${head} refs/heads/branch-${i}\n`)
    writeFileSync(join(folder, '.git', 'packed-refs'), packed.join(''))
    await world.git.run(['push', '--quiet', world.remote('alice/many', secret), 'refs/heads/*'], { cwd: folder })
    const list = await world.git.ask(['ls-remote', '--heads', world.remote('alice/many', secret)])
    t.equal(list.split('\n').length, 1_001)
  })
})
