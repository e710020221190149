import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { basic } from '../http-client.js'
import type { World } from '../world.js'
import type { Check } from './conformance.js'

/** How people give their token to git, and what git tells them when it is refused. */
export async function clients(check: Check, world: World): Promise<void> {
  const { git } = world
  await world.seedRepository('team/client')
  const reader = await world.token('alice', 'read_repository')
  const writer = await world.token('alice', 'write_repository')
  const plain = world.remote('team/client')

  await check('credential.helper store', async (t) => {
    const helper = ['-c', `credential.helper=store --file=${join(git.home, 'credentials')}`]
    const { protocol, host } = new URL(world.url)
    const description = `protocol=${protocol.slice(0, -1)}\nhost=${host}\nusername=alice\npassword=${writer}\n\n`
    await git.run([...helper, 'credential', 'approve'], { input: description })
    await git.run([...helper, 'clone', plain, 'with-store'])
    t.match(await git.ask([...helper, 'ls-remote', plain]), /refs\/heads\/main/, 'kept after it was used')
  })

  await check('GIT_ASKPASS, also with a refused token', async (t) => {
    const askpass = join(git.home, 'askpass')
    writeFileSync(askpass, '#!/bin/sh\ncase "$1" in Username*) echo alice;; *) echo "$SECRET";; esac\n')
    chmodSync(askpass, 0o755)
    await git.run(['clone', plain, 'with-askpass'], { env: { GIT_ASKPASS: askpass, SECRET: writer } })
    const wrong = await git.run(['clone', plain, 'refused'], {
      env: { GIT_ASKPASS: askpass, SECRET: 'wrong' },
      status: 128,
    })
    t.match(wrong.stderr, /remote: HTTP Basic: Access denied/)
    t.match(wrong.stderr, /Authentication failed/)
    const none = await git.run(['clone', plain, 'refused'], { status: 128 })
    t.match(none.stderr, /could not read Username/)
  })

  await check('http.extraHeader', async (t) => {
    const header = `http.extraHeader=Authorization: ${basic('x', reader)}`
    t.match(await git.ask(['-c', header, 'ls-remote', plain]), /refs\/heads\/main/)
  })

  await check('a URL without .git', async (t) => {
    const folder = await git.clone(world.remote('team/client', writer).replace(/\.git$/, ''), 'no-suffix')
    await git.commit(folder, 'x.txt', 'x\n')
    const { stderr } = await git.run(['push'], { cwd: folder })
    t.notMatch(stderr, /redirect/)
    t.equal(
      await git.ask(['rev-parse', 'HEAD'], { cwd: folder }),
      await git.ask(['rev-parse', 'origin/main'], { cwd: folder }),
    )
  })

  await check('a push with read_repository is refused before anything is sent, and Git prints why', async (t) => {
    const folder = await git.clone(world.remote('team/client', reader), 'reader')
    await git.commit(folder, 'y.txt', 'y\n')
    const { stderr } = await git.run(['push'], { cwd: folder, status: 128 })
    t.match(stderr, /remote: You are not allowed to upload code\./)
    t.match(stderr, /remote: The token "test" has the scope read_repository; pushing needs write_repository\./)
    t.match(stderr, /The requested URL returned error: 403/)
  })

  await check('a repository that the account can’t see is not found', async (t) => {
    const secret = await world.token('mallory', 'api')
    const { stderr } = await git.run(['clone', world.remote('team/client', secret, 'mallory'), 'none'], { status: 128 })
    t.match(stderr, /remote: The project you were looking for could not be found/)
    t.match(stderr, /repository '.*' not found/)
  })
}
