// Every change of a repository changes its fingerprint, and nothing else does.
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { BareRepository } from './bare-repository.js'
import { APP, commitTwice, createBareRepository, runGit } from './bare-repository.js'

/** A change, and what else it changes. */
type Change = {
  readonly before?: (repository: BareRepository) => void
  readonly change: (repository: BareRepository) => void | Promise<void>
  readonly changes?: readonly ('identity' | 'configuration')[]
}

function write(name: string, text: string): (repository: BareRepository) => void {
  return ({ where }) => {
    mkdirSync(dirname(join(where, name)), { recursive: true })
    writeFileSync(join(where, name), text)
  }
}

function overwriteMain({ where, two }: BareRepository): void {
  const file = join(where, 'refs/heads/main')
  // As rsync --inplace and editors do: the same file and length, with an old mtime.
  writeFileSync(file, `${two}\n`, { flag: 'r+' })
  utimesSync(file, 1, 1)
}

const packRefs = ({ run }: BareRepository) => void run('pack-refs', '--all')

const CHANGES: Readonly<Record<string, Change>> = {
  'a push': {
    change: ({ git, where, two }) => void runGit(git, '--git-dir', where, 'push', where, `${two}:refs/heads/pushed`),
  },
  'a ref that moves': { change: ({ run, two }) => void run('update-ref', 'refs/heads/main', two) },
  'a packed ref that moves': {
    before: packRefs,
    change: ({ run, two }) => void run('update-ref', 'refs/heads/main', two),
  },
  'a ref overwritten in place, of the same length and time': {
    before: ({ where }) => utimesSync(join(where, 'refs/heads/main'), 1, 1),
    change: overwriteMain,
  },
  'packed-refs written anew': { change: packRefs },
  'packed-refs overwritten in place': {
    before: (it) => {
      packRefs(it)
      utimesSync(join(it.where, 'packed-refs'), 1, 1)
    },
    change: ({ where, one, two }) => {
      const file = join(where, 'packed-refs')
      writeFileSync(file, readFileSync(file, 'utf8').replace(one, two), { flag: 'r+' })
      utimesSync(file, 1, 1)
    },
  },
  'a HEAD that moves': { change: ({ run }) => void run('symbolic-ref', 'HEAD', 'refs/heads/other') },
  'a HEAD that is detached': { change: ({ run, one }) => void run('update-ref', '--no-deref', 'HEAD', one) },
  'a ref deleted': { change: ({ run }) => void run('update-ref', '-d', 'refs/heads/main') },
  'a packed ref deleted': { before: packRefs, change: ({ run }) => void run('update-ref', '-d', 'refs/heads/main') },
  'a ref that came and went': {
    change: ({ run, one }) => {
      run('update-ref', 'refs/heads/brief', one)
      run('update-ref', '-d', 'refs/heads/brief')
    },
  },
  'a tag': { change: ({ run, one }) => void run('tag', '-a', '-m', 'v1', 'v1', one) },
  'a ref in a folder of its own': { change: ({ run, one }) => void run('update-ref', 'refs/changes/01/1/1', one) },
  'a config edited': {
    change: ({ run }) => void run('config', 'uploadpack.hideRefs', 'refs/x'),
    changes: ['configuration'],
  },
  'a config overwritten in place': {
    change: ({ where }) => {
      const file = join(where, 'config')
      writeFileSync(file, readFileSync(file, 'utf8').replace('true', 'TRUE'), { flag: 'r+' })
    },
    changes: ['configuration'],
  },
  'a config for the worktree': { change: write('config.worktree', ''), changes: ['configuration'] },
  'an alternate': { change: write('objects/info/alternates', '/nowhere\n'), changes: ['configuration'] },
  'a shallow boundary': { change: (it) => write('shallow', `${it.two}\n`)(it), changes: ['configuration'] },
  'a graft': { change: (it) => write('info/grafts', `${it.two}\n`)(it), changes: ['configuration'] },
  'a shallow boundary that came and went': {
    change: (it) => {
      write('shallow', `${it.two}\n`)(it)
      rmSync(join(it.where, 'shallow'))
    },
  },
  'a reftable': {
    before: write('reftable/tables.list', '0x000000000001-0x000000000002-aaaaaaaa.ref\n'),
    change: (it) => {
      write('reftable/tables.list.lock', '0x000000000001-0x000000000002-bbbbbbbb.ref\n')(it)
      renameSync(join(it.where, 'reftable/tables.list.lock'), join(it.where, 'reftable/tables.list'))
    },
  },
  'a repository made anew in its place': {
    change: async ({ git, folder, run }) => {
      await folder.remove(APP)
      await folder.create(git, APP, 'sha1')
      commitTwice(run)
    },
    changes: ['identity', 'configuration'],
  },
}

for (const [name, { before, change, changes = [] }] of Object.entries(CHANGES)) {
  t.test(`${name} changes the fingerprint`, async (t) => {
    const repository = await createBareRepository(t)
    before?.(repository)
    const old = await repository.state()
    await change(repository)
    const now = await repository.state()
    t.not(now.fingerprint, old.fingerprint)
    for (const part of ['identity', 'configuration'] as const)
      t.equal(
        now[part] !== old[part],
        changes.includes(part),
        `${part} ${changes.includes(part) ? 'changes' : 'stays'}`,
      )
  })
}

t.test('the same holds with SHA-256', async (t) => {
  const { run, two, state } = await createBareRepository(t, 'sha256')
  const old = await state()
  t.strictSame(await state(), old)
  run('update-ref', 'refs/heads/main', two)
  t.not((await state()).fingerprint, old.fingerprint)
})

t.test('a clone, or new objects, change nothing', async (t) => {
  const { git, folder, where, run, state } = await createBareRepository(t)
  const old = await state()
  runGit(git, 'clone', '--quiet', '--bare', where, join(folder.root, 'copy'))
  run('hash-object', '-w', '--stdin')
  t.strictSame(await state(), old)
})

t.test('gc changes neither identity nor configuration', async (t) => {
  const { run, state } = await createBareRepository(t)
  const old = await state()
  run('gc', '--quiet')
  const now = await state()
  t.equal(now.identity, old.identity)
  t.equal(now.configuration, old.configuration)
})

t.test('a renamed repository has another identity', async (t) => {
  const { folder, freshness, state } = await createBareRepository(t)
  const old = await state()
  const other = 'team/other' as typeof APP
  await folder.rename(APP, other)
  t.equal(await freshness.state(APP), undefined)
  const now = await freshness.state(other)
  t.not(now?.identity, old.identity)
  t.not(now?.fingerprint, old.fingerprint)
})

// Attack or accident: cached responses would depend on files that the fingerprint doesn't cover.
const UNCACHEABLE: Readonly<Record<string, (repository: BareRepository) => void>> = {
  'a config with an include': ({ run }) => void run('config', 'include.path', '/nowhere'),
  'a config with a conditional include': ({ run }) => void run('config', 'includeIf.gitdir:/x.path', '/nowhere'),
  'an include behind another section, in capitals': ({ where }) =>
    appendFileSync(join(where, 'config'), '[x] y = 1\n[core] [INCLUDE] path = /nowhere\n'),
  'an include in the worktree’s config': write('config.worktree', '[include]\n\tpath = /nowhere\n'),
  'refs kept elsewhere': ({ where }) =>
    appendFileSync(join(where, 'config'), '[extensions]\n\trefStorage = files:///nowhere\n'),
  'refs kept elsewhere, by the last of two settings': ({ where }) =>
    appendFileSync(join(where, 'config'), '[extensions]\n\trefStorage = files\n\trefStorage = files:///nowhere\n'),
  'a common folder': write('commondir', '../other.git\n'),
  'a HEAD that is a link': ({ where }) => {
    rmSync(join(where, 'HEAD'))
    symlinkSync('refs/heads/main', join(where, 'HEAD'))
  },
  'a ref that is a link': ({ where }) => symlinkSync('/nowhere', join(where, 'refs/heads/link')),
  'a folder of refs that is a link': ({ where }) => {
    renameSync(join(where, 'refs/tags'), join(where, 'tags'))
    symlinkSync('../tags', join(where, 'refs/tags'))
  },
  'a ref whose name is not UTF-8': ({ where, one }) =>
    writeFileSync(Buffer.concat([Buffer.from(`${where}/refs/heads/`), Buffer.from([0xe9])]), `${one}\n`),
  'no refs': ({ where }) => rmSync(join(where, 'refs'), { recursive: true }),
  'no repository': ({ where }) => rmSync(where, { recursive: true }),
  'a file in its place': ({ where }) => {
    rmSync(where, { recursive: true })
    writeFileSync(where, '')
  },
}

for (const [name, change] of Object.entries(UNCACHEABLE)) {
  t.test(`nothing is cached of a repository with ${name}`, async (t) => {
    const repository = await createBareRepository(t)
    t.type(await repository.freshness.state(APP), 'object')
    change(repository)
    t.equal(await repository.freshness.state(APP), undefined)
  })
}

t.test('a plain configuration with similar words is cacheable', async (t) => {
  const { where, freshness } = await createBareRepository(t)
  appendFileSync(join(where, 'config'), '[log]\n\tincludeX = 1\n[extensions]\n\trefStorage = files\n')
  t.type(await freshness.state(APP), 'object')
})
