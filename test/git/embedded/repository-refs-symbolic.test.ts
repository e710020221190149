// Targets of symbolic refs, read from files where refs are files, otherwise by git; here by one that only records its arguments.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import t from 'tap'
import type { GitProgram } from '../../../src/git/embedded/git-program.js'
import { inRepository } from '../../../src/git/embedded/git-program.js'
import {
  followSymbolicRefs,
  adoptFirstBranch,
  branchesBesideUnbornHead,
} from '../../../src/git/embedded/repository-refs.js'

const ID = '1'.repeat(40)

/** How a git command ends: what it prints, or its exit status. */
type Answer = string | number

/** A repository of files, and a git that answers by a table; other commands end with status 128. */
function repository(t: Test, files: Readonly<Record<string, string>>, answers: Readonly<Record<string, Answer>> = {}) {
  const folder = t.testdir({ refs: { heads: {} }, ...files })
  const commands: string[] = []
  const git: GitProgram = {
    path: '/git',
    version: '2.47',
    start: ({ args }) => {
      const command = args.slice(inRepository(folder).length).join(' ')
      t.strictSame(args.slice(0, 2 + 1), inRepository(folder))
      commands.push(command)
      const answer = answers[command] ?? 128
      const exitStatus = typeof answer === 'number' ? answer : 0
      const failure = exitStatus === 0 ? undefined : 'it failed'
      return Promise.resolve({
        pid: undefined,
        stdin: undefined,
        stdout: Readable.from([Buffer.from(typeof answer === 'string' ? answer : '')]),
        ended: Promise.resolve({ failure, exitStatus, killed: false, stderr: '' }),
      })
    },
  }
  const follow = (...names: (string | Buffer)[]) =>
    followSymbolicRefs(
      git,
      folder,
      names.map((name) => Buffer.from(name)),
    )
  return { folder, git, commands, follow }
}

const REFTABLE = {
  HEAD: 'ref: refs/heads/.invalid\n',
  config: '[core]\n\trepositoryformatversion = 1\n[extensions]\n\tRefStorage = reftable\n',
}

t.test('files tell which refs are not symbolic', async (t) => {
  const { folder, commands, follow } = repository(t, { config: '[core]\n', 'packed-refs': `${ID} refs/heads/packed\n` })
  mkdirSync(join(folder, 'refs/heads/group'))
  writeFileSync(join(folder, 'refs/heads/main'), `${ID}\n`)
  const names = ['refs/heads/main', 'refs/heads/packed', 'refs/heads/new', 'refs/heads/group', 'refs/heads/main/x']
  t.strictSame(await follow(...names), names)
  t.strictSame(commands, [])
})

t.test('git resolves a symbolic ref, however it is written', async (t) => {
  const answer = { 'symbolic-ref --quiet -- refs/heads/alias': 'refs/heads/main\n' }
  const ways: readonly ((file: string) => void)[] = [
    (file) => writeFileSync(file, 'ref: refs/heads/main\n'),
    (file) => writeFileSync(file, 'ref:\trefs/heads/main'),
    (file) => symlinkSync('refs/heads/main', file),
  ]
  for (const way of ways) {
    const { folder, follow } = repository(t, {}, answer)
    way(join(folder, 'refs/heads/alias'))
    t.strictSame(await follow('refs/heads/new', 'refs/heads/alias'), ['refs/heads/new', 'refs/heads/main'])
  }
})

t.test('git resolves every ref of a reftable', async (t) => {
  const { commands, follow } = repository(t, REFTABLE, {
    'symbolic-ref --quiet -- refs/heads/main': 1,
    'symbolic-ref --quiet -- refs/heads/alias': 'refs/heads/main\n',
    'symbolic-ref --quiet -- refs/heads/é': 'refs/heads/main\n',
  })
  const names = ['refs/heads/main', 'refs/heads/alias', 'refs/heads/é', 'refs/heads/broken']
  t.strictSame(await follow(...names), ['refs/heads/main', 'refs/heads/main', 'refs/heads/main', undefined])
  t.equal(commands.length, 4)
  t.strictSame(await follow('--delete', 'HEAD', 'refs/heads/a..b'), ['--delete', 'HEAD', 'refs/heads/a..b'])
  t.equal(commands.length, 4, 'but not about what is no name')
  // A name that is not UTF-8 can't be an argument.
  t.strictSame(await follow(Buffer.from('refs/heads/\xff', 'latin1')), [undefined])
})

t.test('of many refs, git resolves those that don’t exist, up to a limit', async (t) => {
  const names = Array.from({ length: 600 }, (_, index) => `refs/heads/${index}`)
  const { commands, follow } = repository(t, REFTABLE, {
    'for-each-ref --format=%(symref) %(refname)': names
      .slice(0, 50)
      .map((name, index) => `${index === 7 ? 'refs/heads/main' : ''} ${name}\n`)
      .join(''),
    ...Object.fromEntries(names.map((name) => [`symbolic-ref --quiet -- ${name}`, 1])),
    'symbolic-ref --quiet -- refs/heads/7': 'refs/heads/main\n',
  })
  const targets = await follow(...names)
  t.equal(commands.length, 501)
  const expected = [
    ...names.slice(0, 7),
    'refs/heads/main',
    ...names.slice(8, 549),
    ...Array<undefined>(51).fill(undefined),
  ]
  t.strictSame(targets, expected)
})

t.test('git tells whether HEAD is born if it is no file', async (t) => {
  const born = repository(t, REFTABLE, {
    'symbolic-ref --quiet -- HEAD': 'refs/heads/main\n',
    'for-each-ref --format=%(refname) refs/heads/main': 'refs/heads/main\nrefs/heads/main/x\n',
  })
  t.equal(await branchesBesideUnbornHead(born.git, born.folder), undefined)
  const detached = repository(t, REFTABLE, { 'symbolic-ref --quiet -- HEAD': 1 })
  t.equal(await branchesBesideUnbornHead(detached.git, detached.folder), undefined)
  const unborn = repository(t, REFTABLE, {
    'symbolic-ref --quiet -- HEAD': 'refs/heads/main\n',
    'for-each-ref --format=%(refname) refs/heads/main': 'refs/heads/main/x\n',
    'for-each-ref --format=%(refname) refs/heads/': 'refs/heads/main/x\n',
    'symbolic-ref HEAD refs/heads/main/x': '',
  })
  t.strictSame(await branchesBesideUnbornHead(unborn.git, unborn.folder), ['refs/heads/main/x'])
  await adoptFirstBranch(unborn.git, unborn.folder, [])
  t.equal(unborn.commands.at(-1), 'symbolic-ref HEAD refs/heads/main/x')
})
