import fc from 'fast-check'
import t from 'tap'
import { groupsOf, parseRepositoryPath } from '../../src/protocol/repository-path.js'

t.test('a repository is group/sub/name, or name alone', async (t) => {
  const paths = [
    'app',
    'team/app',
    'a/b/c/d',
    '_x/0',
    'A/b.C-d_e',
    'next.js',
    'a..b',
    'app.GIT',
    'x.lock.y',
    'git',
    'lock',
  ]
  for (const path of [...paths, 'n'.repeat(251), 'a/'.repeat(500) + 'b']) t.equal(parseRepositoryPath(path), path, path)
})

t.test('no other spelling is taken', async (t) => {
  const wrong = [
    '',
    '/',
    '/app',
    'app/',
    'team//app',
    '.',
    '..',
    '../app',
    'team/..',
    'team/../app',
    './app',
    '.app',
    '-app',
    'team/-app',
    'app.git',
    'team.git/app',
    '.git',
    'app.lock',
    'team.lock/app',
    'team\\app',
    'team%2Fapp',
    'a b',
    ' app',
    'app\n',
    'app\0',
    'äpp',
    'a:b',
    'a~b',
    'a*',
    'a?b',
    '$(id)',
    '@all',
    'n'.repeat(252),
    'a/'.repeat(512) + 'b',
  ]
  for (const path of wrong) t.equal(parseRepositoryPath(path), undefined, JSON.stringify(path))
})

t.test('what is taken is harmless as a path and as an argument of a program', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a./%\\-]{1,12}$/))
  fc.assert(
    fc.property(text, (text) => {
      const path = parseRepositoryPath(text)
      if (path === undefined) return true
      const segments = path.split('/')
      return segments.every((segment) => /^[A-Za-z0-9_]/.test(segment) && !/[^A-Za-z0-9_.-]/.test(segment))
    }),
  )
})

t.test('the groups of a path are listed from the outermost', async (t) => {
  for (const [path, groups] of Object.entries({ app: [], 'a/b': ['a'], 'a/b/c/d': ['a', 'a/b', 'a/b/c'] })) {
    const parsed = parseRepositoryPath(path)
    t.strictSame(parsed === undefined ? undefined : groupsOf(parsed), groups, path)
  }
})
