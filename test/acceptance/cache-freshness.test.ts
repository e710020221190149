// Responses are as fresh as Git's own, whatever changes, whoever changes it, and whenever.
import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { embedded } from '../backends/embedded.js'
import { nginx } from '../backends/nginx.js'
import { requireProgram } from './programs.js'
import {
  beginClone,
  cacheResults,
  cloneComplete,
  expectPacks,
  heldGit,
  repeatUntil,
  cachedWorld,
} from './cache-world.js'
import { within } from './until.js'
import type { World } from './world.js'

for (const kind of [embedded, nginx]) {
  t.test(kind.name, { skip: requireProgram(...kind.programs) }, async (t) => {
    t.setTimeout(240_000)

    await t.test('in a storm of clones and pushes, no clone gets a state older than its request', async (t) => {
      const { world, push, remote, folder, head } = await cachedWorld(t, { kind, mebibytes: 1 })
      const history = [await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder })]
      // The last push whose response has arrived.
      let answered = 0
      const storm = new AbortController()
      const seen: { readonly id: string; readonly since: number }[] = []
      const cloners = [['--bare'], ['--bare'], ['--bare', '--depth', '1'], ['--no-tags']].map((args) =>
        repeatUntil(storm.signal, async () => {
          const since = answered
          seen.push({ since, id: await head(await cloneComplete(world.git, remote, '-q', ...args)) })
        }),
      )
      for (let number = 1; number <= 8; number += 1) {
        const id = await world.git.commit(folder, 'next.txt', `${number}\n`)
        // Recorded before the push: a clone may see it before the push has its response.
        history.push(id)
        await push('HEAD:main', `HEAD:refs/heads/side/${number}`)
        answered = number
        t.ok(await within(10_000, () => seen.length >= number), 'there are clones between the pushes')
      }
      storm.abort()
      await Promise.all(cloners)
      for (const { id, since } of seen) {
        const at = history.indexOf(id)
        t.ok(at >= since, `${id.slice(0, 7)} is state ${at}, and state ${since} was answered before`)
      }
      t.ok(seen.length >= 16, `${seen.length} clones: one a push, and then two by each of four`)
      expectPacks(t, world, { clones: seen.length, fromCache: 4 })
    })

    await t.test('repack and gc during a storm break no clone', async (t) => {
      const { world, push, remote, folder, direct } = await cachedWorld(t, { kind, mebibytes: 1 })
      for (let number = 1; number <= 5; number += 1) {
        await world.git.commit(folder, 'next.txt', `${number}\n`)
        await push('HEAD:main', `HEAD:refs/heads/side/${number}`)
      }
      const storm = new AbortController()
      let clones = 0
      const cloners = [[], [], ['--depth', '2']].map((args) =>
        repeatUntil(storm.signal, async () => {
          await cloneComplete(world.git, remote, '-q', '--bare', ...args)
          clones += 1
        }),
      )
      for (let number = 1; number <= 3; number += 1) {
        // Unreachable objects are pruned at once, so an old pack file is gone, too.
        await direct('repack', '-a', '-d', '-f', '-q')
        await direct('pack-refs', '--all')
        await direct('gc', '-q', '--prune=now')
        t.ok(await within(10_000, () => clones >= 3 * number), 'there are clones between the rounds')
      }
      storm.abort()
      await Promise.all(cloners)
      t.ok(clones >= 15, `${clones} clones: three a round, and then two by each of three`)
      expectPacks(t, world, { clones, fromCache: 3 })
    })

    await t.test('the next request sees each change of refs', async (t) => {
      const { world, push, remote, direct, clone, head, disk } = await cachedWorld(t, { kind })
      const list = async () => await world.git.ask(['ls-remote', '--symref', remote])
      const truth = async () => await direct('for-each-ref', '--format=%(objectname)%09%(refname)')
      const isTrue = async (what: string): Promise<void> => {
        for (let time = 0; time < 2; time += 1) {
          const reported = (await list()).split('\n').filter((line) => /\trefs\//.test(line) && !line.endsWith('^{}'))
          t.equal(reported.join('\n'), await truth(), what)
        }
      }
      await push('HEAD:refs/heads/other', 'HEAD:refs/tags/v1')
      await isTrue('created refs')
      await direct('pack-refs', '--all')
      await isTrue('packed')
      await push(':refs/heads/other')
      await isTrue('one of several packed refs deleted')
      const commit = await direct('commit-tree', 'main^{tree}', '-p', 'main', '-m', 'behind')
      await direct('update-ref', 'refs/heads/main', commit)
      await isTrue('overwritten behind the gate')
      const tag = async (words: string) =>
        await direct(
          '-c',
          'user.name=b',
          '-c',
          'user.email=b@example.com',
          'tag',
          '-f',
          '-a',
          '-m',
          words,
          'v2',
          'main',
        )
      await tag('words')
      await isTrue('an annotated tag')
      t.match(await world.git.ask(['cat-file', 'tag', 'v2'], { cwd: await clone() }), /words/)
      await tag('others')
      t.match(await world.git.ask(['cat-file', 'tag', 'v2'], { cwd: await clone() }), /others/, 'and moved')

      await direct('branch', 'trunk', commit)
      await clone()
      await direct('symbolic-ref', 'HEAD', 'refs/heads/trunk')
      t.equal(await world.git.ask(['symbolic-ref', 'HEAD'], { cwd: await clone() }), 'refs/heads/trunk')
      t.match(await list(), /^ref: refs\/heads\/trunk\tHEAD/)
      await direct('config', 'transfer.hideRefs', 'refs/tags')
      t.notMatch(await list(), /refs\/tags/, 'hidden by the configuration')
      await direct('config', '--unset', 'transfer.hideRefs')
      await isTrue('and no more')
      await direct('pack-refs', '--all')
      await isTrue('packed again')
      writeFileSync(join(disk, 'refs/heads/trunk'), `${commit}\n`)
      writeFileSync(join(disk, 'packed-refs'), '')
      await isTrue('packed-refs emptied by somebody')
      t.equal(await head(await clone()), commit)
    })

    await t.test('a repository that is created again at the same path is another one', async (t) => {
      const { world, remote, disk, clone, head, push, folder } = await cachedWorld(t, { kind })
      const old = await head(await clone())
      for (let time = 1; time <= 3; time += 1) {
        rmSync(disk, { recursive: true })
        t.not((await world.git.run(['clone', '-q', remote, `gone-${time}`], { status: 'any' })).status, 0, 'it is gone')
        await world.createRepository('team/app')
        t.equal(await world.git.ask(['ls-remote', remote]), '', 'and empty')
        await world.git.run(['commit', '-q', '--amend', '-m', `Made anew ${time}`], { cwd: folder })
        await push('HEAD:main')
        const id = await head(await clone())
        t.equal(id, await world.git.ask(['rev-parse', 'HEAD'], { cwd: folder }))
        t.not(id, old)
      }
      // Another one takes its place at once, with the same file times.
      const other = `${disk}.other`
      cpSync(disk, other, { recursive: true, preserveTimestamps: true })
      const inOther = async (...args: string[]) =>
        await world.git.ask(['-c', 'safe.directory=*', '--git-dir', other, ...args])
      const commit = await inOther('commit-tree', 'main^{tree}', '-m', 'Other')
      await inOther('update-ref', 'refs/heads/main', commit)
      world.adopt(other)
      t.not(await head(await clone()), commit)
      renameSync(disk, `${disk}.old`)
      renameSync(other, disk)
      t.equal(await head(await clone()), commit)
    })

    await t.test('all changes within one tick of the file system’s clock are seen', async (t) => {
      const { world, password, direct, disk } = await cachedWorld(t, { kind })
      const one = await direct('rev-parse', 'main')
      const two = await direct('commit-tree', 'main^{tree}', '-p', 'main', '-m', 'two')
      for (let time = 0; time < 40; time += 1) {
        const id = time % 2 === 0 ? two : one
        // Immediately after the last response, in place, with the same length.
        writeFileSync(join(disk, 'refs/heads/main'), `${id}\n`)
        const lists = Array.from({ length: 2 }, () => listRefs(world, password))
        for (const list of await Promise.all(lists)) t.match(list, `${id} refs/heads/main`)
      }
    })
  })
}

/** The ref list, requested as Git does in version 2. */
async function listRefs(world: World, password: string): Promise<string> {
  const headers = { 'Git-Protocol': 'version=2', 'Content-Type': 'application/x-git-upload-pack-request' }
  const request = { method: 'POST', password, headers, body: '0014command=ls-refs\n00010000' }
  return (await world.http('/team/app.git/git-upload-pack', request)).body
}

t.test('a request sees a change that was made during an earlier request', async (t) => {
  const { world, password, direct, disk } = await cachedWorld(t)
  const ids = [await direct('rev-parse', 'main'), await direct('commit-tree', 'main^{tree}', '-p', 'main', '-m', 'two')]
  const running: Promise<string>[] = []
  for (let time = 0; time < 150; time += 1) {
    const id = ids[time % 2] ?? ''
    writeFileSync(join(disk, 'refs/heads/main'), `${id}\n`)
    const answer = listRefs(world, password)
    // The next change comes during the request, at a different moment each time.
    running.push(answer)
    if (time % 3 === 0) await new Promise((resolve) => setTimeout(resolve, time % 30))
    else t.match(await answer, id)
  }
  for (const answer of await Promise.all(running)) t.match(answer, / refs\/heads\/main\n0000$/)
  t.match(await listRefs(world, password), ids[149 % 2])
})

t.test('a pack stays valid if another ref is pushed while it is computed, but not if its own is', async (t) => {
  const git = heldGit(t)
  const { world, remote, push, folder, clone } = await cachedWorld(t, { flags: { git: git.path }, mebibytes: 3 })
  await world.git.commit(folder, 'next.txt', 'next\n')
  for (const [ref, result] of [
    ['refs/heads/other', 'hit'],
    ['refs/heads/main', 'miss'],
  ] as const) {
    git.hold()
    const args = ['--single-branch', '--branch', 'main', '--no-tags']
    const begun = beginClone(world.git, remote, ...args)
    t.ok(await within(10_000, begun.isReceiving))
    await push(`HEAD:${ref}`)
    git.release()
    t.equal(await begun.ended, 0)
    await clone('--bare', ...args)
    t.equal(cacheResults(world).at(-1), result, ref)
  }
})

// Tags are sent with the objects they point at, so a pack that is computed while a tag moves belongs to neither state.
t.test('a pack computed while a tag was elsewhere isn’t cached for the time when the tag is back', async (t) => {
  const git = heldGit(t)
  const { world, remote, clone, direct } = await cachedWorld(t, { flags: { git: git.path } })
  const tag = async (words: string): Promise<string> => {
    const named = ['-c', 'user.name=b', '-c', 'user.email=b@example.com']
    await direct(...named, 'tag', '-f', '-a', '-m', words, 'v1', 'main')
    return await direct('rev-parse', 'v1')
  }
  const args = ['--single-branch', '--branch', 'main']
  const first = await tag('first')
  // So that the ref list is cached.
  await clone('-q', '--bare', ...args)
  const runs = git.runs()
  git.holdAtStart()
  const begun = beginClone(world.git, remote, ...args, '--depth', '1')
  t.ok(
    await within(10_000, () => git.runs() > runs),
    'the clone has its ref list, and Git is about to compute the pack',
  )
  await tag('second')
  git.release()
  await begun.ended
  await direct('update-ref', 'refs/tags/v1', first)
  const copy = await clone('-q', '--bare', ...args, '--depth', '1')
  t.equal(await world.git.ask(['rev-parse', 'v1'], { cwd: copy }), first)
})
