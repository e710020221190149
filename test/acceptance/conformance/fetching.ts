import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from '../world.js'
import type { Check } from './conformance.js'

const VERSIONS = ['0', '1', '2'] as const

/** Clones and fetches that every backend must serve, by every version of Git's protocol. */
export async function fetching(check: Check, world: World): Promise<void> {
  const { git } = world
  const token = await world.token('alice', 'write_repository')
  const remote = (name: string) => world.remote(`team/${name}`, token)

  await world.createRepository('team/history')
  const origin = await git.init('history')
  for (let i = 1; i <= 5; i++) await git.commit(origin, `file-${i}.txt`, `${'text '.repeat(200)}${i}\n`)
  await git.run(['tag', '-a', 'v1', '-m', 'One'], { cwd: origin })
  await git.run(['push', remote('history'), 'main', 'v1'], { cwd: origin })

  for (const version of VERSIONS) {
    const v = ['-c', `protocol.version=${version}`]
    const tip = () => git.ask(['rev-parse', 'main'], { cwd: origin })

    await check(`v${version}: clone and fetch`, async (t) => {
      const folder = await git.clone(remote('history'), `clone-${version}`, ...v)
      t.equal(await git.ask(['rev-parse', 'HEAD'], { cwd: folder }), await tip())
      t.equal(await git.ask(['describe', '--tags', 'v1'], { cwd: folder }), 'v1')
      await git.commit(origin, 'more.txt', `more ${version}\n`)
      await git.run(['push', remote('history'), 'main'], { cwd: origin })
      await git.run([...v, 'fetch'], { cwd: folder })
      t.equal(await git.ask(['rev-parse', 'origin/main'], { cwd: folder }), await tip())
      await git.run(['fsck', '--full', '--strict'], { cwd: folder })
    })

    await check(`v${version}: shallow, deepened, unshallowed`, async (t) => {
      const folder = await git.clone(remote('history'), `shallow-${version}`, ...v, '--depth=1')
      const count = async () => Number(await git.ask(['rev-list', '--count', 'HEAD'], { cwd: folder }))
      t.equal(await count(), 1)
      await git.run([...v, 'fetch', '--depth=3'], { cwd: folder })
      t.equal(await count(), 3)
      await git.run([...v, 'fetch', '--unshallow'], { cwd: folder })
      t.equal(await count(), Number(await git.ask(['rev-list', '--count', 'main'], { cwd: origin })))
      await git.run(['fsck', '--full', '--strict'], { cwd: folder })
    })

    await check(`v${version}: partial clone, with later lazy fetches`, async (t) => {
      const folder = await git.clone(
        remote('history'),
        `partial-${version}`,
        ...v,
        '--filter=blob:none',
        '--no-checkout',
      )
      const missing = async () =>
        (await git.ask(['rev-list', '--objects', '--missing=print', 'HEAD'], { cwd: folder })).match(/^\?/gm)?.length ??
        0
      const before = await missing()
      t.ok(before > 0, `${before} blobs were left out`)
      await git.run([...v, 'checkout', 'main', '--', 'file-3.txt'], { cwd: folder })
      t.match(readFileSync(join(folder, 'file-3.txt'), 'utf8'), /3\n$/)
      t.equal(await missing(), before - 1, 'one blob came later')
    })

    await check(`v${version}: mirror`, async (t) => {
      await git.run([...v, 'clone', '--mirror', remote('history'), `mirror-${version}`])
      const refs = (args: string[], cwd: string) =>
        git.ask(['for-each-ref', '--format=%(objectname) %(refname)', ...args], { cwd })
      t.equal(await refs([], join(git.home, `mirror-${version}`)), await refs(['refs/heads/main', 'refs/tags'], origin))
    })
  }

  await check('an empty repository', async (t) => {
    await world.createRepository('team/empty')
    for (const version of VERSIONS) {
      const { stderr } = await git.run([
        '-c',
        `protocol.version=${version}`,
        'clone',
        remote('empty'),
        `empty-${version}`,
      ])
      t.match(stderr, /empty repository/)
      t.equal((await git.run(['ls-remote', remote('empty')])).stdout, '')
    }
  })

  await check('a SHA-256 repository', async (t) => {
    await world.createRepository('team/sha256', 'sha256')
    const folder = await git.init('sha256', '--object-format=sha256')
    await git.run(['push', remote('sha256'), 'main'], { cwd: folder })
    for (const version of VERSIONS) {
      const clone = await git.clone(remote('sha256'), `sha256-${version}`, '-c', `protocol.version=${version}`)
      const head = await git.ask(['rev-parse', 'HEAD'], { cwd: clone })
      t.equal(head.length, 64)
      t.equal(head, await git.ask(['rev-parse', 'main'], { cwd: folder }))
    }
  })

  await check('submodules with relative URLs', async (t) => {
    await world.seedRepository('team/part')
    const whole = await git.init('whole')
    const wholeRemote = remote('whole')
    await world.createRepository('team/whole')
    await git.run(['remote', 'add', 'origin', wholeRemote], { cwd: whole })
    await git.run(['submodule', 'add', '../part.git', 'part'], { cwd: whole })
    await git.run(['commit', '-q', '-m', 'Add part'], { cwd: whole })
    await git.run(['push', 'origin', 'main'], { cwd: whole })
    const clone = await git.clone(wholeRemote, 'whole-clone', '--recurse-submodules')
    t.match(readFileSync(join(clone, 'part', 'README.md'), 'utf8'), /Sample/)
  })

  await check('5,000 refs, and a gzipped negotiation', async (t) => {
    // Put there by hand: hooks of some servers take seconds for a hundred refs.
    const disk = await world.seedRepository('team/refs')
    const ask = (args: string[], input = '') =>
      git.ask(['-c', 'safe.directory=*', '--git-dir', disk, ...args], { input })
    const head = await ask(['rev-parse', 'main'])
    const branches = Array.from({ length: 5_000 }, (_, i) => `${head} refs/heads/branch-${i}\n`)
    writeFileSync(join(disk, 'packed-refs'), branches.join(''))
    await ask(['fast-import', '--quiet'], Array.from({ length: 300 }, (_, i) => commitOn(`many-${i}`)).join(''))
    world.adopt(disk)
    for (const version of VERSIONS) {
      const list = await git.ask(['-c', `protocol.version=${version}`, 'ls-remote', '--heads', remote('refs')])
      t.equal(list.split('\n').length, 5_301)
      // Hundreds of wanted tips are more than the 1,024 bytes from which on git compresses its request.
      const clone = await git.clone(remote('refs'), `refs-${version}`, '--single-branch', '--branch=main')
      const fetch = ['-c', `protocol.version=${version}`, 'fetch', 'origin', 'refs/heads/many-*:refs/many/*']
      const { stderr } = await git.run(fetch, { cwd: clone, env: { GIT_TRACE_CURL: '1', GIT_TRACE_CURL_NO_DATA: '1' } })
      t.match(stderr, /=> Send header: content-encoding: gzip/i, `v${version} compressed its negotiation`)
      t.equal((await git.ask(['for-each-ref', 'refs/many'], { cwd: clone })).split('\n').length, 300)
      await git.run(['fsck', '--full', '--strict'], { cwd: clone })
    }
  })
}

/** A commit on a branch of its own, for git fast-import. */
function commitOn(branch: string): string {
  return `commit refs/heads/${branch}\ncommitter a <a@example.com> 1700000000 +0000\ndata ${branch.length}\n${branch}\nfrom refs/heads/main^0\n`
}
