import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { GitRequest, ParsedGitRequest } from '../../src/protocol/git-request.js'
import { isGitPath, parseGitRequest } from '../../src/protocol/git-request.js'
import { parseRepositoryPath } from '../../src/protocol/repository-path.js'

const FETCH = 'info/refs?service=git-upload-pack'
const LONGEST = 'n'.repeat(251)

const method = fc.constantFrom('GET', 'POST', 'HEAD', 'PUT')
const segment = fc.constantFrom('a', 'team', 'A_b-c.d', 'x.GIT')
const oddSegment = fc.constantFrom('..', '.', '', '%2e', 'x.lock', '-x', 'é', 'a\\b', '.git', 'b.git')

/** Request targets that look like Git's, right and wrong. */
const target = fc
  .tuple(
    fc.array(fc.oneof({ arbitrary: segment, weight: 4 }, oddSegment), { maxLength: 3 }),
    fc.constantFrom('app.git', 'a.b.git', 'app', '.git'),
    fc.constantFrom('info/refs', 'git-upload-pack', 'git-receive-pack', 'HEAD', 'info%2Frefs'),
    fc.constantFrom('', '?service=git-upload-pack', '?service=git-receive-pack', '?service=x', '?x=1&x=2'),
  )
  .map(([groups, name, rest, query]) => `/${[...groups, name, rest].join('/')}${query}`)

function git(repository: string, service: GitRequest['service'], phase: GitRequest['phase']): ParsedGitRequest {
  const path = parseRepositoryPath(repository)
  if (path === undefined) throw new TypeError(`${repository} is no repository`)
  return { kind: 'git', request: { repository: path, service, phase } }
}

/** The request line that a parsed request stands for. */
function requestLine({ repository, service, phase }: GitRequest): readonly [method: string, target: string] {
  return phase === 'advertisement'
    ? ['GET', `/${repository}.git/info/refs?service=${service}`]
    : ['POST', `/${repository}.git/${service}`]
}

t.test('the four requests of the smart protocol are read', async (t) => {
  const cases: readonly (readonly [string, string, ParsedGitRequest])[] = [
    ['GET', '/team/app.git/info/refs?service=git-upload-pack', git('team/app', 'git-upload-pack', 'advertisement')],
    ['GET', '/team/app.git/info/refs?service=git-receive-pack', git('team/app', 'git-receive-pack', 'advertisement')],
    ['POST', '/team/app.git/git-upload-pack', git('team/app', 'git-upload-pack', 'rpc')],
    ['POST', '/team/app.git/git-receive-pack', git('team/app', 'git-receive-pack', 'rpc')],
    ['GET', `/app.git/${FETCH}`, git('app', 'git-upload-pack', 'advertisement')],
    ['GET', `/a/b/c/d.git/${FETCH}`, git('a/b/c/d', 'git-upload-pack', 'advertisement')],
    ['GET', `/team/next.js.git/${FETCH}`, git('team/next.js', 'git-upload-pack', 'advertisement')],
    ['GET', `/_/${LONGEST}.git/${FETCH}`, git(`_/${LONGEST}`, 'git-upload-pack', 'advertisement')],
    // Other parameters mean nothing to Git, and an encoded value is the same value.
    ['GET', `/app.git/${FETCH}&private_token=x`, git('app', 'git-upload-pack', 'advertisement')],
    ['GET', '/app.git/info/refs?service=git%2Dupload-pack', git('app', 'git-upload-pack', 'advertisement')],
    // A POST says what it wants in its path; its query is ignored.
    ['POST', '/app.git/git-upload-pack?service=git-receive-pack', git('app', 'git-upload-pack', 'rpc')],
  ]
  for (const [method, target, parsed] of cases) t.strictSame(parseGitRequest(method, target), parsed, target)
})

t.test('whatever else lies under a repository is not served', async (t) => {
  const requests: readonly (readonly [string, string])[] = [
    ['GET', '/team/app.git/info/refs'],
    ['GET', '/team/app.git/info/refs?'],
    ['GET', '/team/app.git/info/refs?service='],
    ['GET', '/team/app.git/info/refs?service=git-upload-archive'],
    ['GET', '/team/app.git/info/refs?service=upload-pack'],
    ['GET', '/team/app.git/info/refs?Service=git-upload-pack'],
    ['GET', '/team/app.git/info/refs?service=--upload-pack=x'],
    ['GET', '/team/app.git/info%2Frefs?service=git-upload-pack'],
    ['GET', '/team/app.git/x/../info/refs?service=git-upload-pack'],
    ['POST', '/team/app.git/info/refs?service=git-upload-pack'],
    ['PUT', '/team/app.git/git-receive-pack'],
    ['GET', '/team/app.git/git-upload-pack'],
    ['post', '/team/app.git/git-upload-pack'],
    ['GET', '/team/app.git/HEAD'],
    ['GET', '/team/app.git/config'],
    ['GET', '/team/app.git/objects/info/packs'],
    ['POST', '/team/app.git/git-upload-archive'],
    ['GET', '/team/app/info/refs'],
    ['GET', '/team/app/info/refs?service=git-upload-archive'],
    ['GET', '/team/app/git-upload-pack'],
    ['PUT', '/team/app/git-receive-pack'],
    ['POST', '/team/app.git/gitlab-lfs/objects/x'],
    ['POST', '/team/app.git/hooks/../git-receive-pack'],
    // The first `.git` ends the repository: a repository inside a repository is never reached.
    ['GET', '/team/app.git/inner.git/info/refs?service=git-upload-pack'],
  ]
  for (const [method, target] of requests)
    t.strictSame(parseGitRequest(method, target), { kind: 'unserved' }, `${method} ${target}`)
})

t.test('a repository that breaks the spelling is malformed, wherever it would lead', async (t) => {
  const paths = [
    '/.git',
    '/.git/.git',
    '/team/.git',
    '/team/../etc/app.git',
    '/../app.git',
    '/./app.git',
    '/team/..git',
    '/.hidden/app.git',
    '/team%2Fapp.git',
    '/team/%2e%2e/app.git',
    '/team/%252e%252e/app.git',
    '/team/app%5c.git',
    '/team/app%ff.git',
    '/team/app%.git',
    '/team/%0aapp.git',
    '/team/app%00.git',
    '/%2e%2e/app.git',
    '/team\\app.git',
    '/..\\app.git',
    '/--upload-pack=x.git',
    '/-/app.git',
    '/team/a b.git',
    '/team/äpp.git',
    '/team/a:b.git',
    '/team/a;b.git',
    '/team/app.lock.git',
    `/team/${LONGEST}n.git`,
    `${'/g'.repeat(600)}/app.git`,
  ]
  for (const path of paths) {
    const [get, post, bare] = [
      parseGitRequest('GET', `${path}/${FETCH}`),
      parseGitRequest('POST', `${path}/git-receive-pack`),
      parseGitRequest('GET', `${path.slice(0, -'.git'.length)}/${FETCH}`),
    ]
    t.equal(get.kind, 'malformed', path)
    t.equal(post.kind, 'malformed', path)
    // `/team/` is the repository `team`.
    if (!path.endsWith('/.git')) t.not(bare.kind, 'git', `${path} without .git`)
  }
  t.match(parseGitRequest('GET', `/a%25b.git/${FETCH}`), { reason: /percent sign/ })
  t.match(parseGitRequest('GET', `/a%2Fb.git/${FETCH}`), { reason: /begins with a letter/ })
})

t.test('a query that names two services is malformed, even if both are the same', async (t) => {
  for (const second of ['git-upload-pack', 'git-receive-pack', '']) {
    const parsed = parseGitRequest('GET', `/app.git/${FETCH}&service=${second}`)
    t.strictSame(parsed, { kind: 'malformed', reason: 'the query names more than one service' }, second)
  }
})

t.test('HEAD of an advertisement is a kind of its own, whatever its query', async (t) => {
  for (const query of ['', '?service=git-upload-pack', '?service=git-upload-pack&service=git-receive-pack'])
    t.strictSame(parseGitRequest('HEAD', `/team/app.git/info/refs${query}`), { kind: 'head' }, query)
  t.strictSame(parseGitRequest('HEAD', '/team/app/info/refs'), { kind: 'head' })
  t.equal(parseGitRequest('HEAD', '/team/app.git/HEAD').kind, 'unserved')
})

t.test('a URL may lack .git, have superfluous slashes, and encode what needs no encoding', async (t) => {
  const paths = ['/team/app', '//team/app.git', '/team//app.git', '/team/app.git/', '/team/app/', '/%74eam/%61pp.git']
  for (const path of [...paths, '/team/a%70p'])
    for (const service of ['git-upload-pack', 'git-receive-pack'] as const)
      for (const end of ['', '/']) {
        const advertisement = parseGitRequest('GET', `${path}/info/refs${end}?service=${service}`)
        t.strictSame(advertisement, git('team/app', service, 'advertisement'), path)
        t.strictSame(parseGitRequest('POST', `${path}/${service}${end}`), git('team/app', service, 'rpc'), path)
      }
  // A repository may have the protocol's own names.
  for (const name of ['info', 'a/info/refs', 'git-upload-pack', 'info/lfs'])
    t.strictSame(parseGitRequest('GET', `/${name}/${FETCH}`), git(name, 'git-upload-pack', 'advertisement'), name)
})

t.test('repositories of an upstream may have other letters, blanks and more, decoded once', async (t) => {
  const cases: Readonly<Record<string, string>> = {
    '/team/a%20b.git': 'team/a b',
    '/t%C3%ABam/app': 'tëam/app',
    '/te%CC%88am/app': 'tëam/app',
    // As Node gives bytes that are not encoded.
    '/t\u00c3\u00abam/app': 'tëam/app',
    '/~alice/c++.git': '~alice/c++',
    '/team/c%2B%2B.git': 'team/c++',
    '/team/a@b': 'team/a@b',
  }
  for (const [path, name] of Object.entries(cases)) {
    const repository = parseRepositoryPath(name, 'upstream')
    const parsed = parseGitRequest('GET', `${path}/${FETCH}`, 'upstream')
    t.strictSame(parsed, { kind: 'git', request: { repository, service: 'git-upload-pack', phase: 'advertisement' } })
    t.equal(parseGitRequest('GET', `${path}/${FETCH}`).kind, 'malformed', 'but not of the embedded server')
  }
  for (const path of [
    '/a%2Fb',
    '/%2e%2e/a',
    '/a/..',
    '/a%00',
    '/a%0a',
    '/a%7f',
    '/a%5Cb',
    '/a%25b',
    '/a*',
    '/a;b',
    '/%20a',
    '/a%20',
  ])
    t.not(parseGitRequest('GET', `${path}/${FETCH}`, 'upstream').kind, 'git', path)
})

t.test('requests of Git LFS are told apart', async (t) => {
  for (const path of ['/team/app.git', '/team/app', '//team/app.git/'])
    for (const rest of ['info/lfs/objects/batch', 'info/lfs/locks/verify', 'info/lfs/locks'])
      t.strictSame(parseGitRequest('POST', `${path}/${rest}`), { kind: 'lfs' }, `${path} ${rest}`)
})

t.test('what is no repository is not Git’s', async (t) => {
  for (const target of ['/', '', '/team/app', '/team/app.git', '/team/app.git?x=/info/refs', '/info', '/-/health']) {
    t.strictSame(parseGitRequest('GET', target), { kind: 'other' }, target)
  }
})

t.test('the route to Git takes every path that has a meaning there', async (t) => {
  const ours = [
    '/a.git/',
    '/a.git/HEAD',
    '/a/info/refs',
    '/a/info//refs/',
    '/a/info/lfs/x',
    '/info/refs',
    '/a/git-upload-pack',
    '/a/git-receive-pack',
  ]
  for (const path of ours) t.ok(isGitPath(path), path)
  for (const path of ['/', '/a.git', '/a', '/info/refs/x', '/git-upload-pack-x', '/-/health']) {
    t.notOk(isGitPath(path), path)
  }
  fc.assert(
    fc.property(method, target, (method, target) => {
      return parseGitRequest(method, target).kind === 'other' || isGitPath(target.split('?', 1)[0] ?? '')
    }),
  )
})

t.test('no request line makes the parser throw', async () => {
  fc.assert(fc.property(fc.string(), fc.string({ unit: 'binary' }), (method, target) => parsesQuietly(method, target)))
  fc.assert(fc.property(method, target, parsesQuietly))
})

t.test('what is parsed is a well-spelt repository, and stands for the request it was read from', async (t) => {
  let read = 0
  fc.assert(
    fc.property(method, target, (method, target) => {
      const parsed = parseGitRequest(method, target)
      if (parsed.kind !== 'git') return true
      read += 1
      const isWellSpelt = parseRepositoryPath(parsed.request.repository) === parsed.request.repository
      return isWellSpelt && isDeepStrictEqual(parseGitRequest(...requestLine(parsed.request)), parsed)
    }),
    { numRuns: 2_000 },
  )
  t.ok(read > 20, `the generator makes Git requests: ${read} of 2,000`)
})

function parsesQuietly(method: string, target: string): boolean {
  return typeof parseGitRequest(method, target).kind === 'string'
}
