import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { RepositoryListing } from '../../../src/git/embedded/repository-listing.js'

function makeBare(root: string, path: string): string {
  const folder = join(root, `${path}.git`)
  for (const part of ['objects', 'refs']) mkdirSync(join(folder, part), { recursive: true })
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/main\n')
  return folder
}

t.test('each call sees what was created and deleted before it; without changes it returns the same list', async (t) => {
  const root = t.testdir({ outside: {} })
  const listing = new RepositoryListing(root)
  t.strictSame(await listing.list(), [])
  makeBare(root, 'team/app')
  t.strictSame(await listing.list(), ['team/app'], 'immediately')
  makeBare(root, 'alone')
  makeBare(root, 'team/deep/er')
  t.strictSame(await listing.list(), ['alone', 'team/app', 'team/deep/er'])
  await setTimeout(150)
  const known = await listing.list()
  t.equal(await listing.list(), known)

  mkdirSync(join(root, 'team', 'draft.git'))
  t.equal(await listing.list(), known)
  await setTimeout(150)
  t.equal(await listing.list(), known)
  makeBare(root, 'team/draft')
  t.ok((await listing.list()).includes('team/draft' as never), 'a folder that became a repository later')
  renameSync(join(root, 'team', 'deep'), join(root, 'other'))
  rmSync(join(root, 'alone.git'), { recursive: true })
  symlinkSync(join(root, 'other'), join(root, 'link'))
  t.strictSame(await listing.list(), ['other/er', 'team/app', 'team/draft'])
  rmSync(join(root, 'team'), { recursive: true })
  t.strictSame(await listing.list(), ['other/er'])
})

t.test('a call during a scan sees what was created before the call', async (t) => {
  const root = t.testdir({})
  for (let number = 0; number < 500; number += 1) makeBare(root, `a/r${number}`)
  const listing = new RepositoryListing(root)
  const first = listing.list()
  makeBare(root, 'a/late')
  t.ok((await listing.list()).includes('a/late' as never))
  t.ok((await first).length >= 500)
})
