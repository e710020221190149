// Every kind of request, in every protocol version and object format, gets the same response as from Git itself, cold and warm.
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/node'
import fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { Test } from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import type { BackendKind } from '../backends/backend.js'
import { requireProgram } from './programs.js'
import { cacheResults, cloneAnew, cloneComplete, cachedWorld, uncached } from './cache-world.js'
import { temporaryFolder } from './temporary-folder.js'

/** Ten commits on two branches with tags, a day apart. */
async function history(t: Test, kind?: BackendKind) {
  const cached = await cachedWorld(t, kind === undefined ? {} : { kind })
  const { world, folder, push } = cached
  for (let number = 1; number <= 10; number += 1) {
    const at = `2026-01-${String(number + 10)}T12:00:00Z`
    const env = { GIT_AUTHOR_DATE: at, GIT_COMMITTER_DATE: at }
    await world.git.run(['commit', '-q', '--allow-empty', '-m', `Commit ${number}`], { cwd: folder, env })
    if (number === 5) await push('HEAD:refs/heads/old')
    if (number % 3 === 0) await world.git.run(['tag', '-a', '-m', 'A tag', `v${number}`], { cwd: folder, env })
  }
  fs.writeFileSync(join(folder, 'large'), 'x'.repeat(100_000))
  await world.git.run(['add', '.'], { cwd: folder })
  await world.git.run(['commit', '-q', '-m', 'A large file'], { cwd: folder })
  await push('HEAD:main', '--tags')
  /** All objects in a repository itself. */
  const objects = async (cwd: string): Promise<string> =>
    (await world.git.ask(['cat-file', '--batch-check', '--batch-all-objects'], { cwd })).split('\n').sort().join('\n')
  return { ...cached, objects }
}

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(240_000)

    await t.test('clones of every kind get what Git itself would have sent', async (t) => {
      const { world, remote, disk, objects } = await history(t, kind)
      const kinds = [
        ['--shallow-since=2026-01-15T00:00:00Z'],
        ['--shallow-since=2026-01-15'],
        ['--shallow-exclude=old'],
        ['--depth=3', '--no-single-branch'],
        ['--single-branch', '--branch=old', '--no-tags'],
        ['--filter=blob:limit=1k', '--no-checkout'],
        ['--filter=tree:1', '--no-checkout'],
        ['--filter=object:type=commit', '--no-checkout'],
        ['--filter=combine:blob:none+tree:3', '--no-checkout'],
        ['--filter=blob:none', '--depth=2', '--no-checkout'],
      ]
      const truth = await uncached(t, disk)
      for (const [version, argumentLists] of [
        ['0', kinds],
        ['1', kinds.slice(0, 1)],
        ['2', kinds],
      ] as const) {
        // Before an upstream, one of each kind: limits by date, by branch, filters, and both together.
        for (const args of kind === embedded
          ? argumentLists
          : argumentLists.filter((_, index) => [0, 4, 6, 9].includes(index))) {
          const config = ['-c', `protocol.version=${version}`]
          // Git has hashed each object on arrival.
          const wanted = await objects(await cloneAnew(world.git, truth.remote, '-q', ...config, ...args))
          for (let time = 0; time < 2; time += 1) {
            const copy = await cloneAnew(world.git, remote, '-q', ...config, ...args)
            t.equal(
              await objects(copy),
              wanted,
              `${args.join(' ')}, version ${version}, ${time === 0 ? 'cold' : 'warm'}`,
            )
          }
        }
      }
      t.ok(cacheResults(world).filter((result) => result === 'hit').length >= (kind === embedded ? kinds.length : 4))
    })

    await t.test('incremental fetches get the rest, in each protocol version', async (t) => {
      const { world, remote, push, folder, disk } = await history(t, kind)
      const truth = await uncached(t, disk)
      const fsck = async (cwd: string) => await world.git.run(['fsck', '--full', '--strict'], { cwd })
      // Before an upstream, the cache treats all versions alike.
      for (const version of kind === embedded ? ['0', '1', '2'] : ['0', '2']) {
        const config = ['-c', `protocol.version=${version}`]
        const copies = [
          await cloneComplete(world.git, remote, '-q', ...config),
          await cloneComplete(world.git, remote, '-q', ...config),
        ]
        const shallow = await Promise.all(
          [truth.remote, remote, remote].map(
            async (from) => await cloneComplete(world.git, from, '-q', ...config, '--depth=1'),
          ),
        )
        for (const args of [['--deepen=2'], ['--depth=6'], ['--shallow-since=2026-01-12T00:00:00Z'], ['--unshallow']]) {
          const got = []
          for (const cwd of shallow) {
            await world.git.run(['fetch', '-q', ...args], { cwd })
            const listed = await world.git.ask(['rev-list', '--objects', 'HEAD'], { cwd })
            got.push(listed.split('\n').sort().join('\n'))
          }
          for (const one of got.slice(1)) t.equal(one, got[0], `${args.join(' ')}, version ${version}`)
        }
        await world.git.commit(folder, `more-${version}`, 'more\n')
        await push('HEAD:main')
        for (const cwd of copies) {
          await world.git.commit(cwd, 'own', 'of its own\n')
          await world.git.run(['fetch', '-q', 'origin'], { cwd })
          t.equal(
            await world.git.ask(['rev-parse', 'origin/main'], { cwd }),
            await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder }),
          )
          await fsck(cwd)
        }
        // Omitted objects are fetched when they are needed.
        const partial = await cloneComplete(world.git, remote, '-q', ...config, '--filter=tree:0')
        t.equal(fs.readFileSync(join(partial, 'large'), 'utf8').length, 100_000)
        await fsck(partial)
      }
    })
  })
}

t.test('a compressed request with thousands of haves gets its response', async (t) => {
  const { world, remote, push, folder } = await history(t)
  const copies = [await cloneComplete(world.git, remote, '-q'), await cloneComplete(world.git, remote, '-q')]
  const stream = Array.from(
    { length: 3_000 },
    (_, number) =>
      `commit refs/heads/own\ncommitter a <a@example.com> ${1_700_000_000 + number} +0000\ndata 1\nx\nM 644 inline f\ndata ${String(number).length}\n${number}\n\n`,
  ).join('')
  for (const cwd of copies) await world.git.run(['fast-import', '--quiet'], { cwd, input: stream })
  await world.git.commit(folder, 'more', 'more\n')
  await push('HEAD:main')
  for (const cwd of copies) {
    await world.git.run(['-c', 'fetch.negotiationAlgorithm=default', 'fetch', '-q', 'origin'], { cwd })
    await world.git.run(['fsck', '--full', '--strict'], { cwd })
  }
})

t.test('a SHA-256 repository is cloned, fetched and cached like any other', async (t) => {
  const { world, password } = await cachedWorld(t)
  await world.createRepository('team/new', 'sha256')
  const folder = await world.git.init('new', '--object-format=sha256')
  const remote = world.remote('team/new', password)
  await world.git.run(['push', '-q', remote, 'HEAD:main'], { cwd: folder })
  for (const version of ['0', '1', '2']) {
    const config = ['-c', `protocol.version=${version}`]
    const copies = []
    for (let time = 0; time < 2; time += 1) copies.push(await cloneComplete(world.git, remote, '-q', ...config))
    t.equal(cacheResults(world).at(-1), 'hit', version)
    await cloneComplete(world.git, remote, '-q', ...config, '--depth=1')
    const id = await world.git.commit(folder, 'next', `${version}\n`)
    t.equal(id.length, 64)
    await world.git.run(['push', '-q', remote, 'HEAD:main'], { cwd: folder })
    for (const cwd of copies) {
      await world.git.run(['pull', '-q'], { cwd })
      t.equal(await world.git.ask(['rev-parse', 'HEAD'], { cwd }), id)
      await world.git.run(['fsck', '--full', '--strict'], { cwd })
    }
  }
})

t.test('isomorphic-git clones, cold and warm, alongside Git', async (t) => {
  const { world, password, remote, head } = await history(t)
  const onAuth = () => ({ username: 'alice', password })
  for (const options of [{}, { depth: 2 }, { singleBranch: true }]) {
    for (let time = 0; time < 2; time += 1) {
      const dir = temporaryFolder(t)
      await git.clone({ fs, http, dir, url: world.remote('team/app'), onAuth, ...options })
      t.equal(await git.resolveRef({ fs, dir, ref: 'HEAD' }), await head(await cloneComplete(world.git, remote, '-q')))
      await world.git.run(['fsck', '--full', '--strict'], { cwd: dir })
      fs.rmSync(dir, { recursive: true })
    }
    t.ok(cacheResults(world).includes('hit'))
  }
})

t.test('a request that is too long to parse is passed on, plain and compressed', async (t) => {
  const { world, password, folder } = await history(t)
  const id = await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })
  const haves = Array.from({ length: 25_000 }, (_, n) => `0032have ${n.toString(16).padStart(40, '0')}\n`).join('')
  const first = `want ${id} side-band-64k no-progress ofs-delta\n`
  const body = `${(first.length + 4).toString(16).padStart(4, '0')}${first}0000${haves}0009done\n`
  t.ok(body.length > 1_048_576)
  for (const isCompressed of [false, true]) {
    const answer = await world.http('/team/app.git/git-upload-pack', {
      ...{ method: 'POST', password, body: isCompressed ? gzipSync(body) : body },
      headers: {
        'Content-Type': 'application/x-git-upload-pack-request',
        ...(isCompressed ? { 'Content-Encoding': 'gzip' } : {}),
      },
    })
    t.match(answer.body, /PACK.*0000$/s)
    t.equal(cacheResults(world).at(-1), 'bypass')
  }
})
