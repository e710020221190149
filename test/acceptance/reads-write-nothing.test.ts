// A read never writes to a repository: an operator may serve a copy, or back one up, while people read it.
import { lstatSync, mkdirSync, readdirSync, writeFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from './until.js'
import { createWorld } from './world.js'

const LOOSE_REFS = 1_000

t.test('ls-remote, clone and fetch change no file of a repository with many loose refs', async (t) => {
  const world = await createWorld(t)
  await world.grant('@anonymous', 'read', 'public/**')
  await world.grant('alice', 'write', 'team/**')
  const secret = await world.token('alice', 'write_repository')
  const folder = await world.seedRepository('public/app')
  await writeLooseRefs(folder)
  const before = statsOf(folder)
  t.ok(Object.keys(before).length > LOOSE_REFS)

  const remote = world.remote('public/app')
  t.equal((await world.git.ask(['ls-remote', '--heads', remote])).split('\n').length, LOOSE_REFS + 1)
  for (const version of ['0', '2'])
    await world.git.run(['-c', `protocol.version=${version}`, 'clone', '--quiet', remote, `clone-${version}`])
  await world.git.run(['fetch', '--quiet'], { cwd: join(world.git.home, 'clone-2') })

  // If the reads led to packing, they would have before this push does.
  const pushed = await world.seedRepository('team/pushed')
  await writeLooseRefs(pushed)
  await world.git.run(['push', '--quiet', world.remote('team/pushed', secret), 'HEAD:refs/heads/pushed'], {
    cwd: join(world.git.home, 'clone-2'),
  })
  await until(() => existsSync(join(pushed, 'packed-refs')) && !existsSync(join(pushed, 'refs/heads/many/0')))
  t.match(await world.git.ask(['ls-remote', world.remote('team/pushed', secret), 'many/999']), /refs\/heads\/many\/999/)

  t.strictSame(statsOf(folder), before)

  async function writeLooseRefs(repository: string): Promise<void> {
    const id = await world.git.ask(['-c', 'safe.directory=*', '--git-dir', repository, 'rev-parse', 'main'])
    mkdirSync(join(repository, 'refs/heads/many'))
    for (let i = 0; i < LOOSE_REFS; i++) writeFileSync(join(repository, 'refs/heads/many', String(i)), `${id}\n`)
  }
})

/** All files and folders of a repository, with everything that a write changes. */
function statsOf(folder: string): Record<string, string> {
  const names = ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })].sort()
  return Object.fromEntries(
    names.map((name) => {
      const { ino, mode, size, mtimeNs, ctimeNs } = lstatSync(join(folder, name), { bigint: true })
      return [name, [ino, mode, size, mtimeNs, ctimeNs].join(' ')]
    }),
  )
}
