import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { GitProgram } from '../../../src/git/embedded/git-program.js'
import { findGit, initBare } from '../../../src/git/embedded/git-program.js'
import { RepositoryFolder } from '../../../src/git/embedded/repository-folder.js'
import type { RepositoryPath } from '../../../src/protocol/repository-path.js'
import { parseRepositoryPath } from '../../../src/protocol/repository-path.js'

function path(text: string): RepositoryPath {
  const parsed = parseRepositoryPath(text)
  if (parsed === undefined) throw new TypeError(`${text} is no repository`)
  return parsed
}

type World = {
  readonly git: GitProgram
  readonly folder: RepositoryFolder
  /** A folder beside the root, which nothing served may reach. */
  readonly outside: string
  readonly create: (text: string) => Promise<void>
  /** Makes a repository by hand, wherever. */
  readonly makeBare: (...parts: string[]) => Promise<void>
}

async function createWorld(t: Test): Promise<World> {
  const git = await findGit(undefined)
  const folder = new RepositoryFolder(join(t.testdir({ outside: {} }), 'repos'))
  const create = (text: string) => folder.create(git, path(text), 'sha1')
  const makeBare = (...parts: string[]) => initBare(git, join(...parts), 'sha1')
  return { git, folder, outside: join(folder.root, '..', 'outside'), create, makeBare }
}

/** What lies in a folder, whether or not it is shown, but for the locks of gates. */
function everythingIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== '.gitgate')
    .toSorted()
}

t.test('the root is created if it is missing, and refused if it can’t be a folder', async (t) => {
  const root = join(t.testdir({ file: '' }), 'deep', 'repos')
  const folder = new RepositoryFolder(root)
  t.ok(lstatSync(root).isDirectory())
  t.equal(folder.isUsable(), true)
  t.strictSame(folder.list(), [])
  const file = join(t.testdirName, 'file')
  for (const wrong of [file, join(file, 'repos')])
    t.throws(() => new RepositoryFolder(wrong), { code: 'configuration', message: /can't be used/ })
})

t.test(
  'a repository is made bare and empty, with its HEAD on main, without hooks, in the format asked for',
  async (t) => {
    const { folder, git, create } = await createWorld(t)
    t.equal(folder.has(path('a/b/app')), false)
    await create('a/b/app')
    const where = folder.locate(path('a/b/app'))
    t.equal(where, join(folder.root, 'a', 'b', 'app.git'))
    t.equal(folder.has(path('a/b/app')), true)
    t.equal(readFileSync(join(where, 'HEAD'), 'utf8'), 'ref: refs/heads/main\n')
    t.notOk(existsSync(join(where, 'hooks')))
    await folder.create(git, path('modern'), 'sha256')
    t.match(readFileSync(join(folder.locate(path('modern')), 'config'), 'utf8'), /objectformat = sha256/i)
    t.strictSame(everythingIn(folder.root), ['a', 'modern.git'], 'no draft is left')
  },
)

t.test('repositories are listed in the order of their paths, also those copied by hand', async (t) => {
  const { folder, create, makeBare } = await createWorld(t)
  for (const text of ['zoo', 'team/app', 'a/b/c', 'team/apple', 'team/next.js']) await create(text)
  await makeBare(folder.root, 'by', 'hand.git')
  t.strictSame(folder.list(), ['a/b/c', 'by/hand', 'team/app', 'team/apple', 'team/next.js', 'zoo'])
  t.equal(folder.has(path('by/hand')), true)
})

t.test('other folders, and names that no URL can have, are not listed', async (t) => {
  const { folder, create, makeBare } = await createWorld(t)
  await create('team/app')
  mkdirSync(join(folder.root, 'empty.git'))
  mkdirSync(join(folder.root, 'group', 'empty'), { recursive: true })
  writeFileSync(join(folder.root, 'file.git'), '')
  for (const hidden of [
    '.hidden.git',
    'a b.git',
    '-x.git',
    'x.lock.git',
    '.git',
    '.group/app.git',
    'team/app.git/nested.git',
  ])
    await makeBare(folder.root, hidden)
  t.strictSame(folder.list(), ['team/app'])
  for (const other of ['empty', 'file', 'group', 'team', 'team/nested']) t.equal(folder.has(path(other)), false, other)
})

// Attack: somebody who may write to the root, or a restored repository, adds a symbolic link to the whole disk.
t.test('no symbolic link is followed: to a repository, in a group, or in a repository', async (t) => {
  const { folder, outside, create, makeBare } = await createWorld(t)
  await makeBare(outside, 'secret.git')
  await create('team/app')
  symlinkSync(join(outside, 'secret.git'), join(folder.root, 'team', 'linked.git'))
  symlinkSync(outside, join(folder.root, 'group'))
  symlinkSync(join(folder.root, 'team', 'app.git'), join(folder.root, 'inside.git'))
  for (const [name, part] of [
    ['head', 'HEAD'],
    ['objects', 'objects'],
    ['refs', 'refs'],
  ] as const) {
    const where = join(folder.root, `${name}.git`)
    await makeBare(where)
    rmSync(join(where, part), { recursive: true })
    symlinkSync(join(outside, 'secret.git', part), join(where, part))
  }
  t.strictSame(folder.list(), ['team/app'])
  for (const text of ['team/linked', 'group/secret', 'inside', 'head', 'objects', 'refs']) {
    t.equal(folder.has(path(text)), false, text)
    t.type(folder.obstacleTo(path(text)), 'string', text)
    await t.rejects(create(text), { code: 'conflict' }, text)
    await t.rejects(folder.remove(path(text)), { code: 'not-found' }, text)
  }
  await t.rejects(create('group/new'), { code: 'conflict', message: /symbolic link/ })
  await t.rejects(folder.rename(path('team/app'), path('group/app')), { code: 'conflict' })
  t.strictSame(everythingIn(outside), ['secret.git'])
})

// Attack: the text of a refusal reveals what is behind a symbolic link.
t.test('no refusal reveals what is behind a symbolic link', async (t) => {
  const { folder, outside, makeBare } = await createWorld(t)
  symlinkSync(outside, join(folder.root, 'group'))
  mkdirSync(join(outside, 'private'))
  await makeBare(outside, 'secret.git')
  const reason = folder.obstacleTo(path('group/nothing'))
  for (const text of ['group/private', 'group/secret', 'group/secret/x'])
    t.equal(folder.obstacleTo(path(text)), reason, text)
})

t.test('a name that differs from an existing one only in its case is refused, with the existing one', async (t) => {
  const { folder, create } = await createWorld(t)
  await create('alice/new')
  for (const [name, twin] of [
    ['alice/NEW', 'alice/new'],
    ['Alice/other', 'alice'],
    ['ALICE/sub/x', 'alice'],
  ] as const)
    t.equal(folder.obstacleTo(path(name)), `${twin} already exists; only its case differs`)
  t.equal(folder.obstacleTo(path('alice/news')), undefined)
  await folder.rename(path('alice/new'), path('alice/NEW'))
  t.strictSame(folder.list(), ['alice/NEW'], 'the case of a name can be changed')
})

t.test('the root itself may be a symbolic link', async (t) => {
  const { folder, outside, create } = await createWorld(t)
  await create('team/app')
  symlinkSync(folder.root, join(outside, 'link'))
  const linked = new RepositoryFolder(join(outside, 'link'))
  t.equal(linked.root, folder.root)
  t.strictSame(linked.list(), ['team/app'])
})

t.test('a repository and a group can’t have the same path, nor be inside each other’s', async (t) => {
  const { folder, create } = await createWorld(t)
  await create('team/app')
  mkdirSync(join(folder.root, 'empty-group'))
  const obstacles: Readonly<Record<string, RegExp>> = {
    'team/app': /team\/app already exists/,
    'team/app/x': /team\/app is a repository, so it can't be a group/,
    'team/app/x/y': /team\/app is a repository, so it can't be a group/,
    team: /team is a group of repositories/,
    'empty-group': /is a group of repositories/,
  }
  for (const [text, reason] of Object.entries(obstacles)) {
    t.match(folder.obstacleTo(path(text)), reason, text)
    await t.rejects(create(text), { code: 'conflict', message: reason }, text)
  }
  t.equal(folder.obstacleTo(path('team/other')), undefined)
  t.equal(folder.obstacleTo(path('empty-group/x')), undefined)
  writeFileSync(join(folder.root, 'a-file'), '')
  for (const text of ['a-file', 'a-file/x', 'a-file/x/y']) t.type(folder.obstacleTo(path(text)), 'string', text)
})

t.test('no repository hides behind gitgate’s own pages', async (t) => {
  const { folder, create } = await createWorld(t)
  for (const text of ['api/v4', 'API/x', 'users/x', 'jwt', 'v2/image', 'help']) {
    t.match(folder.obstacleTo(path(text)), /reserved for gitgate's own URLs/, text)
    await t.rejects(create(text), { code: 'conflict' }, text)
  }
  t.equal(folder.obstacleTo(path('team/api')), undefined, 'only the first segment counts')
  t.equal(folder.obstacleTo(path('apis')), undefined)
})

t.test('of two simultaneous creations of a repository one succeeds, and the repository is complete', async (t) => {
  const { folder, create } = await createWorld(t)
  const results = await Promise.allSettled(Array.from({ length: 4 }, () => create('team/app')))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { code: 'conflict' })
  t.strictSame(folder.list(), ['team/app'])
  t.strictSame(everythingIn(folder.root), ['team'])
})

t.test('removing a repository removes groups that are empty then', async (t) => {
  const { folder, create } = await createWorld(t)
  for (const text of ['a/b/c/app', 'a/b/other', 'top']) await create(text)
  await folder.remove(path('a/b/c/app'))
  t.strictSame(folder.list(), ['a/b/other', 'top'])
  t.notOk(existsSync(join(folder.root, 'a', 'b', 'c')))
  await folder.remove(path('a/b/other'))
  await folder.remove(path('top'))
  t.strictSame(everythingIn(folder.root), [], 'and nothing of it is left')
  for (const text of ['top', 'a', 'a/b/c/app'])
    await t.rejects(folder.remove(path(text)), { code: 'not-found', message: new RegExp(text) }, text)
})

t.test('a group with something else in it stays', async (t) => {
  const { folder, create } = await createWorld(t)
  await create('team/app')
  writeFileSync(join(folder.root, 'team', 'README'), 'ours')
  await folder.remove(path('team/app'))
  t.strictSame(everythingIn(join(folder.root, 'team')), ['README'])
})

t.test('a renamed repository keeps its content, and its empty group is removed', async (t) => {
  const { folder, create } = await createWorld(t)
  await create('old/app')
  writeFileSync(join(folder.locate(path('old/app')), 'description'), 'mine')
  await folder.rename(path('old/app'), path('new/group/name'))
  t.strictSame(folder.list(), ['new/group/name'])
  t.equal(readFileSync(join(folder.locate(path('new/group/name')), 'description'), 'utf8'), 'mine')
  t.strictSame(everythingIn(folder.root), ['new'])
})

t.test('a refused rename leaves the repository where it is', async (t) => {
  const { folder, create } = await createWorld(t)
  await create('team/app')
  await create('team/other')
  for (const to of ['team/app', 'team/other', 'team/app/x', 'team', 'api/app'])
    await t.rejects(folder.rename(path('team/app'), path(to)), { code: 'conflict', message: /can't rename to/ }, to)
  await t.rejects(folder.rename(path('team/none'), path('x')), { code: 'not-found' })
  t.strictSame(folder.list(), ['team/app', 'team/other'])
})

t.test('the longest valid path can be created, listed and removed', async (t) => {
  const { folder, create } = await createWorld(t)
  const longest = path(Array.from({ length: 4 }, () => 'n'.repeat(251)).join('/'))
  await create(longest)
  t.strictSame(folder.list(), [longest])
  await folder.remove(longest)
  t.strictSame(everythingIn(folder.root), [])
})
